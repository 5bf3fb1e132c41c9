"""A line of callers is a courtesy: nobody waits in it for long, or for itself (C16, C18)."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    ConflictError,
    MemoryConfig,
    MemoryManager,
    StorageError,
    Workflow,
)
from fibonacci.plugin import Address
from fibonacci.testing.threads import run_concurrently

from .distant import Distant

Increment = Callable[[MemoryManager], list[Any]]


def test_a_line_that_stands_still(distant: Distant, far: MemoryManager):
    """One request that hangs is waited for a moment only, and then passed by."""
    held, over = threading.Event(), threading.Event()

    def hang() -> None:
        held.set()
        over.wait(30)

    distant.before_swap = hang
    with ThreadPoolExecutor(9) as threads:
        stuck = threads.submit(far.increment, "n")
        held.wait(30)
        passing = [threads.submit(far.increment, "n") for _ in range(8)]
        assert sorted(one.result() for one in passing) == list(range(1, 9))
        assert not stuck.done()
        over.set()
        assert stuck.result() == 9


async def tasks_increment(memory: MemoryManager) -> list[Any]:
    """What forty tasks that increment ``n`` at once return, or raise."""
    return await asyncio.gather(
        *[memory.aincrement("n") for _ in range(40)], return_exceptions=True
    )


def threads_increment(memory: MemoryManager) -> list[Any]:
    """The same of forty threads."""
    with ThreadPoolExecutor(40) as threads:
        ended = [threads.submit(memory.increment, "n") for _ in range(40)]
    return [one.exception() or one.result() for one in ended]


EITHER = pytest.mark.parametrize(
    "increment", [lambda memory: asyncio.run(tasks_increment(memory)), threads_increment]
)


@EITHER
def test_a_deadline_in_the_line(distant: Distant, increment: Increment):
    """Who is not served by its deadline is told so, and by then (C16, C18)."""
    distant.seconds = 0.03
    with Workflow("w", MemoryConfig(distant, timeout=0.4)) as workflow:
        started = monotonic()
        answers = increment(workflow.memory)
        took = monotonic() - started
    numbers = [one for one in answers if isinstance(one, int)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    told = [str(one) for one in answers if isinstance(one, ConflictError)]
    assert any("gave up on 'n' in workflow scope of 'w': other callers" in one for one in told)
    assert took < 0.4 + 0.5


@EITHER
def test_a_store_that_answers_nobody(distant: Distant, increment: Increment):
    """Then nobody is told that others changed the record: each time the store is away (C18)."""

    def away(address: Address, *, deadline: float) -> bytes | None:
        time.sleep(max(0.0, deadline - monotonic()))
        raise BackendUnavailableError("the time ran out")

    distant.read = away  # type: ignore[method-assign]
    with Workflow("w", MemoryConfig(distant, timeout=0.4)) as workflow:
        answers = increment(workflow.memory)
    assert {type(one) for one in answers} == {BackendUnavailableError}
    # Who is let go at the very deadline may be told either.
    assert {str(one) for one in answers} <= {
        "the time ran out",
        "gave up on 'n' in workflow scope of 'w': those of this process who came before got no "
        "answer, until the deadline",
    }


def test_a_change_within_a_change(far: MemoryManager):
    """The function of an update may change the record: it does not wait for itself."""
    far.set("n", 1)
    calls: list[int] = []

    def change(old: int) -> int:
        calls.append(old)
        if len(calls) == 1:
            far.increment("n")
        return old + 10

    assert far.update("n", change) == 12
    assert calls == [1, 2]


@pytest.mark.bare
def test_a_signal_handler_that_changes_what_its_thread_waits_for(
    distant: Distant, far: MemoryManager
):
    """It does not wait for the call that it interrupts, and that one goes on."""
    held, over = threading.Event(), threading.Event()

    def hang() -> None:
        held.set()
        over.wait(30)

    def handle(*_: object) -> None:
        over.set()
        handled.append(far.increment("n"))

    handled: list[float] = []
    distant.before_swap = hang
    before = signal.signal(signal.SIGALRM, handle)
    try:
        with ThreadPoolExecutor(1) as threads:
            front = threads.submit(far.increment, "n")
            held.wait(30)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            numbers = [far.increment("n"), front.result(), *handled]
    finally:
        signal.signal(signal.SIGALRM, before)
    assert sorted(numbers) == [1, 2, 3]


def test_changes_crosswise(far: MemoryManager):
    """Two callers who stand in each other's way come to their ends."""
    ready = threading.Barrier(2)

    def change(inner: str) -> Callable[[int], int]:
        first = [True]

        def fn(old: int) -> int:
            if first.pop() if first else False:
                ready.wait(30)
                far.increment(inner)
            return old + 10

        return fn

    run_concurrently(
        [
            lambda: far.update("a", change("b"), default=0),
            lambda: far.update("b", change("a"), default=0),
        ]
    )
    assert far.get_many(["a", "b"]) == {"a": 11, "b": 11}


def test_a_memory_that_is_closed_meanwhile(distant: Distant):
    """Those who stand in line are told."""
    workflow = Workflow("w", MemoryConfig(distant, timeout=60))
    distant.before_swap = workflow.close
    with ThreadPoolExecutor(4) as threads:
        ended = [threads.submit(workflow.memory.increment, "n") for _ in range(4)]
    told = [str(one.exception()) for one in ended if one.exception()]
    assert len(told) >= 3
    assert {"this memory was closed: make a new Workflow, or close it later"} == set(told)
    assert all(isinstance(one.exception(), StorageError) for one in ended if one.exception())
