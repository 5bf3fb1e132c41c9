"""What the logger ``fibonacci.sqlite`` reports, at which level; never a value, a key or a user."""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from log_messages import CANARY, take_records
from sqlite_helpers import Connect, Open

from fibonacci import BackendUnavailableError, CorruptRecordError, MemoryManager
from fibonacci.testing.threads import run_concurrently
from fibonacci_sqlite import database, store

Messages = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Messages:
    """Returns levels and messages of ``fibonacci.sqlite``, and forgets all."""
    caplog.set_level(logging.DEBUG)

    def take() -> list[tuple[str, str]]:
        assert CANARY not in caplog.text
        return take_records(caplog, "fibonacci.sqlite")

    return take


def test_undisturbed_requests_are_not_logged(memory: MemoryManager, messages: Messages) -> None:
    """Requests that wait for no lock are not logged."""
    memory.set(CANARY, CANARY)
    memory.append("turns", CANARY)
    memory.clear()
    assert messages() == []


def test_locks_are_logged(path: Path, open_memory: Open, raw: Connect, messages: Messages) -> None:
    """A locked database is logged at DEBUG, once for a request."""
    memory = open_memory(path, timeout=0.3)
    memory.set("k", 1)
    raw(path).execute("BEGIN IMMEDIATE")
    with pytest.raises(BackendUnavailableError):
        memory.set(CANARY, CANARY)
    assert messages() == [("DEBUG", f"database {str(path)!r} is locked by another writer")]


@pytest.mark.parametrize("succeeds", [True, False])
def test_long_waits_are_logged(
    succeeds: bool,
    path: Path,
    open_memory: Open,
    messages: Messages,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that waited for long is logged at INFO, with the seconds."""
    monkeypatch.setattr(database, "SLOW_REQUEST", 0.1)
    memory = open_memory(path, timeout=20 if succeeds else 0.3)
    memory.set("k", 1)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def unlock() -> None:
        while "is locked" not in caplog.text:
            time.sleep(0.01)
        time.sleep(0.15)
        other.execute("ROLLBACK")

    if succeeds:
        run_concurrently([unlock, lambda: memory.set("k", 2)])
    else:
        with pytest.raises(BackendUnavailableError):
            memory.set("k", 2)
    other.close()
    [long_wait] = [message for level, message in messages() if level == "INFO"]
    assert long_wait.startswith("a request waited ")
    assert long_wait.endswith(f" s for locks of database {str(path)!r}")


def test_sweeps_are_logged(
    path: Path, memory: MemoryManager, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expired records that were deleted are counted at DEBUG."""
    text = "expired records deleted: "
    memory.set_many({CANARY: 1, "b": 2}, ttl=0.001)
    time.sleep(0.05)
    monkeypatch.setattr(store, "SWEEP_INTERVAL", 1)
    memory.set("k", 1)
    # One may have expired, and been deleted, while both were written.
    logged = messages()
    assert sum(int(message.removeprefix(text)) for _, message in logged) == 2
    assert {level for level, _ in logged} == {"DEBUG"}


def test_refused_records_are_logged(
    path: Path, memory: MemoryManager, raw: Connect, messages: Messages
) -> None:
    """A record with columns of other types is logged at INFO, without its key."""
    memory.set(CANARY, CANARY)
    raw(path).execute("UPDATE fibonacci_records SET value = 'text'")
    with pytest.raises(CorruptRecordError):
        memory.get(CANARY)
    expected = "a record in workflow scope was refused: its columns have other types"
    assert messages() == [("INFO", expected)]
