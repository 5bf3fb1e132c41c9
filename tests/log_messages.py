"""What the tests of loggers share."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import pytest

from fibonacci import FibonacciError, MemoryManager

CANARY = "canary-3f9a"
"""A value, a record's key and a user's id, none of which a log may show."""


def take_records(caplog: pytest.LogCaptureFixture, logger: str) -> list[tuple[str, str]]:
    """Return levels and messages of a logger, and discard all captured records."""
    records = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == logger
    ]
    caplog.clear()
    return records


def take_messages(caplog: pytest.LogCaptureFixture, logger: str, level: str) -> list[str]:
    """Return the messages of a logger at one level, and discard all captured records."""
    return [message for found, message in take_records(caplog, logger) if found == level]


def use_canaries(memory: MemoryManager, fault: AbstractContextManager[None]) -> None:
    """Use the canary as value, key and user: first without a fault, then under one."""
    view = memory.for_user(CANARY)
    calls: list[Callable[[], object]] = [
        lambda: view.set(CANARY, CANARY),
        lambda: view.get(CANARY),
        lambda: view.append(CANARY, CANARY),
        lambda: view.set_many({CANARY: CANARY}),
        lambda: view.list_keys(),
        lambda: view.clear(),
    ]
    for call in calls:
        with suppress(FibonacciError):  # on a busy machine a short timeout may pass
            call()
    with fault:
        for call in calls:
            with pytest.raises(FibonacciError):
                call()
    with suppress(FibonacciError):
        view.clear()
