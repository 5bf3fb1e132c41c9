"""Durability, expiry and housekeeping, as far as the contract does not see them."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from sqlite_bench import Connect, Open

from fibonacci import MemoryManager
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, encode_parts
from fibonacci_sqlite import fibonacci_storage
from fibonacci_sqlite import statements as sql
from fibonacci_sqlite.connection import MAX_IDLE, Connection, ConnectionPool, open_connection
from fibonacci_sqlite.settings import ConnectionOptions
from fibonacci_sqlite.store import SqliteStore

SPACE = Space("p:", "workflow", "w")


def now() -> float:
    return time.monotonic() + 5


def test_restart(path: Path, open_memory: Open):
    """What was written is there for whoever opens the file next, with its expiry."""
    first = open_memory(path)
    first.set("k", [1], ttl=60)
    first.set("user's", 2, scope="user", user_id="u")
    first.close()
    assert not path.with_name("memory.db-wal").exists()
    second = open_memory(path)
    assert second.get("k") == [1]
    assert 50 < (second.ttl("k") or 0) <= 60
    assert second.get("user's", scope="user", user_id="u") == 2


def test_two_handles(path: Path, open_memory: Open):
    """Two stores on one file see each other's changes at once, and lose none."""
    one, two = open_memory(path), open_memory(path)
    for _ in range(20):
        one.increment("n")
        two.increment("n")
    assert one.get("n") == two.get("n") == 40
    assert one.delete("n") is True
    assert two.exists("n") is False


@pytest.mark.parametrize(("query", "level"), [("", 1), ("?synchronous=full", 2)])
def test_synchronous(path: Path, query: str, level: int):
    """A commit is forced to the disk by the next checkpoint, or at once where one asks for it."""
    settings = StoreSettings(url=StoreURL.parse(f"sqlite:///{path}{query}"))
    store = fibonacci_storage(settings).create_store()
    assert isinstance(store, SqliteStore)
    asked = store._database.run(sql.fetch_one, "PRAGMA synchronous", (), deadline=now())
    assert asked == (level,)
    store.close()


def test_rows(path: Path, memory: MemoryManager, raw: Connect):
    """A row is found by the canonical bytes of its space, and its key."""
    memory.set("k", "v", scope="user", user_id="u")
    rows = raw(path).execute("SELECT space, key, value, expires_ms FROM fibonacci_records")
    space = encode_parts("fibonacci:", "user", "u")
    assert rows.fetchall() == [(space, b"k", b'"v"', None)]


def test_sweep(path: Path, memory: MemoryManager, store: SqliteStore, raw: Connect):
    """Writes remove expired records of all spaces, now and then, a bounded number at a time."""
    addresses = [Address(SPACE, f"k{number}") for number in range(300)]
    store.write_many([(one, b"1") for one in addresses], 200, deadline=now())
    store.write_many([(Address(SPACE, "live"), b"1")], 60_000, deadline=now())
    time.sleep(0.25)
    rows = "SELECT count(*) FROM fibonacci_records"
    left = []
    for _ in range(4):
        for number in range(64):
            memory.set("k", number)
        left += raw(path).execute(rows).fetchone()
    assert left == sorted(left, reverse=True)
    assert left[0] > 2
    assert left[-1] == 2
    assert store.scan(SPACE, deadline=now()).keys == ["live"]


def test_sweep_keeps_up(path: Path, store: SqliteStore, raw: Connect):
    """Batches of records that soon expire don't pile up."""
    for turn in range(20):
        items = [(Address(SPACE, f"{turn}-{number}"), b"1") for number in range(100)]
        store.write_many(items, 1, deadline=now())
        time.sleep(0.002)
    (rows,) = raw(path).execute("SELECT count(*) FROM fibonacci_records").fetchone()
    assert rows <= 300


def test_sweep_of_a_busy_file(path: Path, raw: Connect, store: SqliteStore):
    """A sweep that meets another writer is left to a later write, and harms nobody."""
    store.read(Address(SPACE, "k"), deadline=now())
    raw(path).execute("BEGIN IMMEDIATE")
    store._sweep(1_000)
    assert store.read(Address(SPACE, "k"), deadline=now()) is None


def test_clear_in_steps(store: SqliteStore):
    """Clear removes a bounded number of records at a time, in key order (C6)."""
    keys = sorted(f"k{number}" for number in range(450))
    store.write_many([(Address(SPACE, key), b"1") for key in keys], None, deadline=now())
    store.write(Address(SPACE._replace(owner="w2"), "k"), b"1", None, deadline=now())
    cursor = store.clear(SPACE, deadline=now())
    assert cursor == keys[199]
    assert store.scan(SPACE, deadline=now()).keys == keys[200:]
    cursor = store.clear(SPACE, cursor=cursor, deadline=now())
    assert store.clear(SPACE, cursor=cursor, deadline=now()) is None
    assert store.scan(SPACE, deadline=now()).keys == []
    assert store.scan(SPACE._replace(owner="w2"), deadline=now()).keys == ["k"]


def test_used_after_close(store: SqliteStore):
    """A store that is used after its close opens the file, and closes it at once."""
    address = Address(SPACE, "k")
    store.write(address, b"1", None, deadline=now())
    store.close()
    assert store.read(address, deadline=now()) == b"1"
    assert store._database._pool._in_use() == []


@pytest.fixture
def pool(path: Path):
    """Connections to the file."""
    pool = ConnectionPool(lambda: open_connection(ConnectionOptions(path=os.fspath(path))))
    yield pool
    pool.close()


def test_last_used_first(pool: ConnectionPool):
    """The connection used last is used next, and no more stay open than are worth it."""
    taken = [pool.getconn() for _ in range(MAX_IDLE + 3)]
    for connection in taken:
        pool.putconn(connection)
    assert [one.closed for one in taken] == [False] * (MAX_IDLE - 1) + [False, True, True, True]
    assert pool.getconn() is taken[MAX_IDLE - 1]


def descriptors(path: Path) -> int:
    """How often this process has the file open."""
    file, found = path.stat(), 0
    for number in os.listdir("/dev/fd"):
        with suppress(OSError):  # the listing's own
            found += os.path.samestat(os.fstat(int(number)), file)
    return found


def test_closed_is_closed(path: Path, pool: ConnectionPool):
    """A connection that is closed has left the file, whatever its last statement came to."""
    other, failed, half = pool.getconn(), pool.getconn(), pool.getconn()
    other.cursor.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        failed.cursor.execute("BEGIN IMMEDIATE")
    half.cursor.execute("SELECT 1 FROM sqlite_master")
    assert descriptors(path) > 0
    for connection in (failed, half, other):
        connection.close()
    assert descriptors(path) == 0


def test_rest_waits(pool: ConnectionPool):
    """Before a fork all connections are closed, those in use when their work is done."""
    idle, busy = pool.getconn(), pool.getconn()
    pool.putconn(idle)

    def work() -> None:
        time.sleep(0.05)
        pool.putconn(busy)

    worker = Thread(target=work)
    worker.start()
    pool.drain_for_fork(now())
    worker.join()
    assert idle.closed
    assert busy.closed


def test_rest_is_not_for_ever(pool: ConnectionPool):
    """A child that is forked amid an operation is told so, and never touches what it inherited."""
    stuck: list[Connection] = [pool.getconn()]
    pool.drain_for_fork(time.monotonic() + 0.01)
    pool.reset_after_fork()
    assert not stuck[0].closed
    with pytest.raises(Exception, match="forked during an operation"):
        pool.getconn()


def test_a_connection_that_was_never_made_whole():
    """What an exception leaves of a connection that was being made is dropped in silence."""
    Connection.__new__(Connection)
