"""Failures, and their errors: never a default value, and the true outcome of a write."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from time import monotonic, sleep
from typing import Any

import pytest
from sqlite_children import Child, Send
from sqlite_helpers import Connect, Open, deadline

from fibonacci import (
    BackendUnavailableError,
    CorruptRecordError,
    MemoryManager,
    OutcomeUnknownError,
    StorageError,
)
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci_sqlite import statements as sql
from fibonacci_sqlite.connection import Connection
from fibonacci_sqlite.database import Database
from fibonacci_sqlite.settings import ConnectionOptions
from fibonacci_sqlite.store import SqliteStore

SPACE = Space("p:", "workflow", "w")
ADDRESS = Address(SPACE, "k")

WRITES: dict[str, Callable[[SqliteStore, float], Any]] = {
    "write": lambda store, end: store.write(ADDRESS, b"2", None, deadline=end),
    "create": lambda store, end: store.compare_and_set(
        Address(SPACE, "new"), ABSENT, b"2", None, deadline=end
    ),
    "compare_and_set": lambda store, end: store.compare_and_set(
        ADDRESS, b"1", b"2", None, deadline=end
    ),
    "remove": lambda store, end: store.remove(ADDRESS, deadline=end),
    "touch": lambda store, end: store.touch(ADDRESS, 60_000, deadline=end),
    "write_many": lambda store, end: store.write_many([(ADDRESS, b"2")], None, deadline=end),
    "remove_many": lambda store, end: store.remove_many([ADDRESS], deadline=end),
    "clear": lambda store, end: store.clear(SPACE, deadline=end),
}


@contextmanager
def locked(path: Path, statement: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Have another process hold a lock on the file during the block."""

    def hold(send: Send) -> None:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute(statement)
        send("locked")
        while True:
            signal.pause()

    child = Child(hold)
    try:
        assert child.next() == "locked"
        yield
    finally:
        child.kill()


@pytest.mark.parametrize("verb", WRITES)
def test_locked_write_ends_at_deadline(path: Path, store: SqliteStore, verb: str):
    """A write that waits for another process's lock ends at its deadline, not applied (C18)."""
    store.write(ADDRESS, b"1", None, deadline=deadline())
    with locked(path):
        start = monotonic()
        with pytest.raises(BackendUnavailableError, match="locked by other writers"):
            WRITES[verb](store, start + 0.2)
        assert monotonic() < start + 0.2 + 0.5
        assert store.read(ADDRESS, deadline=deadline()) == b"1"
        assert store.read_many([ADDRESS], deadline=deadline()) == [b"1"]
        assert store.scan(SPACE, deadline=deadline()).keys == ["k"]
        assert store.remaining_ttl_ms(ADDRESS, deadline=deadline()) is None
    WRITES[verb](store, deadline())


def test_write_continues_once_the_lock_is_released(path: Path, memory: MemoryManager):
    """A write that waits for another process's lock continues when it is released."""
    memory.set("k", 1)

    def hold(send: Send) -> None:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        send("locked")
        sleep(0.2)
        database.execute("COMMIT")
        database.close()

    child = Child(hold)
    child.next()
    assert memory.increment("k") == 2
    child.end()


def test_ttl_starts_after_the_lock_is_acquired(path: Path, store: SqliteStore):
    """A record lives for its whole ttl, even if its write waited for a lock (C11)."""
    store.read(ADDRESS, deadline=deadline())
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = Timer(0.5, other.execute, ["COMMIT"])
    release.start()
    store.write(ADDRESS, b"1", 450, deadline=deadline())
    assert store.read(ADDRESS, deadline=deadline()) == b"1"
    release.join()
    other.close()


@pytest.mark.parametrize("verb", ["compare_and_set", "keep_ttl", "touch", "remove", "remove_many"])
def test_record_that_expires_during_the_wait_is_expired(path: Path, store: SqliteStore, verb: str):
    """A record that expires while a write waits for a lock is expired for that write (C12)."""
    store.read(ADDRESS, deadline=deadline())
    acts: dict[str, Callable[[], object]] = {
        "compare_and_set": lambda: store.compare_and_set(
            ADDRESS, b"1", b"2", None, deadline=deadline()
        ),
        "keep_ttl": lambda: store.compare_and_set(
            ADDRESS, b"1", b"2", KEEP_TTL, deadline=deadline()
        ),
        "touch": lambda: store.touch(ADDRESS, None, deadline=deadline()),
        "remove": lambda: store.remove(ADDRESS, deadline=deadline()),
        "remove_many": lambda: store.remove_many([ADDRESS], deadline=deadline()),
    }
    store.write(ADDRESS, b"1", 150, deadline=deadline())
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = Timer(0.2, other.execute, ["COMMIT"])
    release.start()
    assert acts[verb]() in (False, 0)
    release.join()
    other.close()
    assert store.read(ADDRESS, deadline=deadline()) is None


def test_exclusive_lock_before_first_use(path: Path, open_memory: Open, raw: Connect):
    """A file that another process locks exclusively raises at the deadline, and works later."""
    raw(path).execute("CREATE TABLE t (x)")
    raw(path).execute("DROP TABLE t")
    memory = open_memory(path, timeout=0.2)
    with locked(path, "BEGIN EXCLUSIVE"):
        start = monotonic()
        with pytest.raises(BackendUnavailableError, match="locked"):
            memory.get("k")
        assert monotonic() < start + 0.2 + 0.5
    memory.set("k", 1)
    assert memory.get("k") == 1


def test_batch_past_its_deadline_is_not_written(store: SqliteStore):
    """A batch that misses its deadline is not written at all, and says so (C18)."""
    items = [(Address(SPACE, f"k{number}"), b"1") for number in range(10)]
    with pytest.raises(BackendUnavailableError, match="none of it"):
        store.write_many(items, None, deadline=monotonic())
    assert store.scan(SPACE, deadline=deadline()).keys == []
    store.write_many(items, None, deadline=deadline())
    with pytest.raises(BackendUnavailableError):
        store.remove_many([address for address, _ in items], deadline=monotonic())
    assert len(store.scan(SPACE, deadline=deadline()).keys) == 10


def test_interrupted_transaction_is_rolled_back(path: Path):
    """Work that is interrupted in a transaction leaves no lock and no change (C19)."""
    database = Database(ConnectionOptions(path=os.fspath(path)))

    def half(connection: Connection) -> None:
        connection.cursor.execute("BEGIN IMMEDIATE")
        connection.cursor.execute(sql.WRITE, (None, b"1", b"s", b"k"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.run(half, deadline=deadline(), writes=True)
    assert database.run(sql.fetch_one, sql.READ, (b"s", b"k"), deadline=deadline()) is None
    assert database.run(sql.execute, sql.WRITE, (None, b"2", b"s", b"k"), deadline=0.0) == 1
    database.close()


def test_sqlite_error_of_a_signal_handler_propagates(path: Path, raw: Connect):
    """sqlite3.Error from a signal handler propagates, and leaves no lock on the file (C19)."""
    database = Database(ConnectionOptions(path=os.fspath(path)))

    def ring(*_: object) -> None:
        raw(path.with_name("other.db")).execute("no SQL")

    def half(connection: Connection) -> None:
        connection.cursor.execute("BEGIN IMMEDIATE")
        signal.raise_signal(signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, ring)
    try:
        with pytest.raises(sqlite3.OperationalError, match="syntax error"):
            database.run(half, deadline=deadline(), writes=True)
        raw(path).execute("BEGIN IMMEDIATE")
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_signal_exception_during_file_creation_propagates(
    path: Path, memory: MemoryManager, monkeypatch: pytest.MonkeyPatch
):
    """An exception of a signal handler is not suppressed while the file is created (C19)."""

    def ring(*_: object) -> None:
        raise TimeoutError("the alarm")

    monkeypatch.setattr(os, "open", lambda *_: signal.raise_signal(signal.SIGUSR2))
    before = signal.signal(signal.SIGUSR2, ring)
    try:
        with pytest.raises(TimeoutError, match="the alarm"):
            memory.get("k")
    finally:
        signal.signal(signal.SIGUSR2, before)
    monkeypatch.undo()
    assert memory.get("k") is None


def test_lost_connection_releases_its_lock(path: Path, raw: Connect):
    """A connection that is lost in a transaction is closed, which releases its lock (C19)."""
    database = Database(ConnectionOptions(path=os.fspath(path)))
    connections: list[Connection] = []
    database.run(connections.append, deadline=deadline())
    connections[0].cursor.execute("BEGIN IMMEDIATE")
    database.close()
    del connections
    raw(path).execute("BEGIN IMMEDIATE")


def test_busy_transaction_is_rolled_back_and_retried(path: Path, raw: Connect):
    """Work that finds the database busy after it began is rolled back and retried."""
    database = Database(ConnectionOptions(path=os.fspath(path)))
    other, interfered = raw(path), []
    database.run(sql.execute, sql.WRITE, (None, b"1", b"s", b"k"), deadline=deadline())

    def stale(connection: Connection) -> int:
        """Read, and write when another writer has been there in between: busy for ever."""
        connection.cursor.execute("BEGIN")
        connection.cursor.execute(sql.READ, (b"s", b"k")).fetchone()
        if not interfered:
            interfered.append(other.execute(sql.WRITE, (None, b"2", b"s", b"k")))
        changed = sql.execute(connection, sql.COMPARE_AND_SET_KEEP_TTL, (b"3", b"s", b"k", b"2", 0))
        connection.cursor.execute("COMMIT")
        return changed

    assert database.run(stale, deadline=deadline(), writes=True) == 1
    assert database.run(sql.fetch_one, sql.READ, (b"s", b"k"), deadline=deadline()) == (b"3", None)
    database.close()


def test_missing_directory_is_named(tmp_path: Path, open_memory: Open):
    """A missing directory is named in the error, and is not created."""
    memory = open_memory(tmp_path / "missing" / "memory.db")
    with pytest.raises(BackendUnavailableError, match=r"no directory '.*missing'"):
        memory.get("k")
    assert not (tmp_path / "missing").exists()


def test_directory_is_not_a_file(tmp_path: Path, open_memory: Open):
    """A directory at the file's path is reported."""
    (tmp_path / "memory.db").mkdir()
    with pytest.raises(BackendUnavailableError, match="it is a directory"):
        open_memory(tmp_path / "memory.db").get("k")


def test_unopenable_log_names_the_permissions(path: Path, open_memory: Open):
    """If the log can't be opened, the error names the permissions that are needed."""
    memory = open_memory(path)
    memory.set("k", 1)
    memory.close()
    other = path.with_name("other.db")
    other.write_bytes(path.read_bytes())
    other.with_name("other.db-wal").mkdir()
    with pytest.raises(BackendUnavailableError, match="permission to read and write"):
        open_memory(other).get("k")


def test_too_many_open_files_is_reported(path: Path, memory: MemoryManager):
    """If the process has too many open files, the error says so, and works later."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, before[1]))
    try:
        with pytest.raises(BackendUnavailableError, match="too many open files"):
            memory.get("k")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert memory.get("k") is None


def test_full_disk_changes_nothing(path: Path, memory: MemoryManager, store: SqliteStore):
    """A write to a full disk raises and is not applied; existing records stay readable (C18)."""
    memory.set("k", "old")
    database = store._database

    def limit(connection: Connection) -> None:
        connection.cursor.execute("PRAGMA max_page_count = 8")

    database.run(limit, deadline=deadline())
    with pytest.raises(BackendUnavailableError, match="no space left, and nothing was changed"):
        store.write(ADDRESS, bytes(100_000), None, deadline=deadline())
    assert store.read(ADDRESS, deadline=deadline()) is None
    assert memory.get("k") == "old"


def test_io_error_of_a_write_is_unknown(path: Path, store: SqliteStore):
    """An I/O error of a write raises OutcomeUnknownError; later operations work (C18)."""
    store.write(ADDRESS, b"1", None, deadline=deadline())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    try:
        with pytest.raises(OutcomeUnknownError, match="may or may not have been changed"):
            store.write(ADDRESS, bytes(1_000_000), None, deadline=deadline())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.read(ADDRESS, deadline=deadline()) in (b"1", bytes(1_000_000))
    store.write(ADDRESS, b"2", None, deadline=deadline())
    assert store.read(ADDRESS, deadline=deadline()) == b"2"


def test_interrupted_read_raises(path: Path, store: SqliteStore):
    """A read that SQLite interrupts raises; it never returns "absent" (C14, C18)."""
    store.write(ADDRESS, b"1", None, deadline=deadline())
    store._database.run(
        lambda connection: connection.database.set_progress_handler(lambda: 1, 1),
        deadline=deadline(),
    )
    with pytest.raises(BackendUnavailableError, match="interrupted"):
        store.read(ADDRESS, deadline=deadline())
    assert store.read(ADDRESS, deadline=deadline()) == b"1"


def test_damaged_file_is_corrupt(path: Path, open_memory: Open):
    """A file whose pages are overwritten raises CorruptRecordError, and returns no default (C8)."""
    memory = open_memory(path)
    memory.set_many({f"k{number}": "x" * 1000 for number in range(100)})
    memory.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(CorruptRecordError, match="damaged"):
        open_memory(path).get("k1", default="default")


def test_dropped_table_raises(path: Path, memory: MemoryManager, raw: Connect):
    """A table that was dropped raises StorageError, and is not read as empty."""
    memory.set("k", 1)
    raw(path).execute("DROP TABLE fibonacci_records")
    with pytest.raises(StorageError, match="no such table"):
        memory.get("k")
    with pytest.raises(StorageError, match="no such table"):
        memory.set("k", 2)


@pytest.mark.parametrize("change", ["value = 'text'", "value = 5", "expires_ms = 'soon'"])
def test_value_of_another_type_is_corrupt(
    path: Path, memory: MemoryManager, raw: Connect, change: str
):
    """A record with a value of another type raises, and returns no default (C8)."""
    memory.set("k", 1)
    raw(path).execute("UPDATE fibonacci_records SET " + change)
    with pytest.raises(CorruptRecordError, match="'k' in workflow scope of 'w'"):
        memory.get("k", default="default")
    with pytest.raises(CorruptRecordError):
        memory.get_many(["k"])
    with pytest.raises(CorruptRecordError):
        memory.append("k", 1)
    memory.set("k", 2)
    assert memory.get("k") == 2


def test_expiry_of_another_type_is_corrupt(path: Path, memory: MemoryManager, raw: Connect):
    """An expiry that is not an integer raises in ttl() and exists() (C8)."""
    memory.set("k", 1)
    raw(path).execute("UPDATE fibonacci_records SET expires_ms = 'soon'")
    with pytest.raises(CorruptRecordError):
        memory.ttl("k")
    with pytest.raises(CorruptRecordError):
        memory.exists("k")
