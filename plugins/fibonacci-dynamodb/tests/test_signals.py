"""Exceptions that a signal handler raises during a call propagate unchanged (C19)."""

import logging
import random
import signal
from collections.abc import Iterator
from itertools import count

import pytest
from stepping import interrupt_each_step

from fibonacci import MemoryManager
from fibonacci.plugin import Store
from fibonacci_dynamodb import client

from .conftest import ADDRESS, soon

pytestmark = pytest.mark.bare


class SoftTimeLimit(Exception):  # noqa: N818 - as Celery's
    """What a job queue's time limit raises."""


@pytest.fixture(params=[SoftTimeLimit, TimeoutError])
def raised(request: pytest.FixtureRequest) -> Iterator[type[Exception]]:
    """SIGALRM raises an exception of this class."""

    def ring(*_: object) -> None:
        raise request.param("rung")

    before = signal.signal(signal.SIGALRM, ring)
    yield request.param
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signal_exception_propagates_unchanged(memory: MemoryManager, raised: type[Exception]):
    """A signal handler's exception is not mapped to a storage error; nothing is sent twice."""
    dice, appended = random.Random(1), count()
    for _ in range(25):
        try:
            with pytest.raises(raised, match="rung"):
                append_until(dice.uniform(0.0005, 0.008), memory, appended)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        log = memory.get("log") or []
        assert len(log) == len(set(log))


def append_until(alarm: float, memory: MemoryManager, appended: Iterator[int]) -> None:
    """Append until the alarm rings, in ``alarm`` seconds."""
    # The alarm repeats, as a finalizer, which drops exceptions, may swallow the first.
    signal.setitimer(signal.ITIMER_REAL, alarm, 1.0)
    while True:
        memory.append("log", next(appended), max_items=10)


def test_interrupted_call_drops_no_log_records_of_the_application(store: Store):
    """After a call that is interrupted at any step, other clients' records are logged."""
    record = logging.makeLogRecord({"name": "botocore.hooks"})
    step = 0
    for step in interrupt_each_step(
        lambda: store.exists(ADDRESS, deadline=soon()), files={client.__file__}
    ):
        assert logging.getLogger(record.name).filter(record), step
    assert step > 10
