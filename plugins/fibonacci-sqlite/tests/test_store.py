"""Durability, expiry and housekeeping, beyond the contract."""

import logging
import time
from pathlib import Path

import pytest
from log_messages import take_records
from sqlite_helpers import Connect, Open, deadline

from fibonacci import MemoryManager
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, encode_parts
from fibonacci_sqlite import fibonacci_storage
from fibonacci_sqlite import statements as sql
from fibonacci_sqlite.store import SqliteStore

SPACE = Space("p:", "workflow", "w")


def test_records_survive_a_restart(path: Path, open_memory: Open):
    """A record and its expiry are there for the next process that opens the file."""
    first = open_memory(path)
    first.set("k", [1], ttl=60)
    first.set("user's", 2, scope="user", user_id="u")
    first.close()
    assert not path.with_name("memory.db-wal").exists()
    second = open_memory(path)
    assert second.get("k") == [1]
    assert 50 < (second.ttl("k") or 0) <= 60
    assert second.get("user's", scope="user", user_id="u") == 2


def test_two_stores_share_a_file(path: Path, open_memory: Open):
    """Two stores on one file see each other's changes at once, and lose none."""
    first, second = open_memory(path), open_memory(path)
    for _ in range(20):
        first.increment("n")
        second.increment("n")
    assert first.get("n") == second.get("n") == 40
    assert first.delete("n") is True
    assert second.exists("n") is False


@pytest.mark.parametrize(("query", "level"), [("", 1), ("?synchronous=full", 2)])
def test_synchronous_option_sets_the_pragma(path: Path, query: str, level: int):
    """The option synchronous sets SQLite's pragma on each connection."""
    settings = StoreSettings(url=StoreURL.parse(f"sqlite:///{path}{query}"))
    store = fibonacci_storage(settings).create_store()
    assert isinstance(store, SqliteStore)
    level_in_use = store._database.run(sql.fetch_one, "PRAGMA synchronous", (), deadline=deadline())
    assert level_in_use == (level,)
    store.close()


def test_row_of_a_record(path: Path, memory: MemoryManager, raw: Connect):
    """A row's key is the encoded space and the key."""
    memory.set("k", "v", scope="user", user_id="u")
    rows = raw(path).execute("SELECT space, key, value, expires_ms FROM fibonacci_records")
    space = encode_parts("fibonacci:", "user", "u")
    assert rows.fetchall() == [(space, b"k", b'"v"', None)]


def test_writes_remove_expired_records(
    path: Path, memory: MemoryManager, store: SqliteStore, raw: Connect
):
    """Now and then, a write removes a bounded number of expired records of all spaces."""
    addresses = [Address(SPACE, f"k{number}") for number in range(300)]
    store.write_many([(address, b"1") for address in addresses], 200, deadline=deadline())
    store.write_many([(Address(SPACE, "live"), b"1")], 60_000, deadline=deadline())
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
    assert store.scan(SPACE, deadline=deadline()).keys == ["live"]


def test_expired_batches_do_not_accumulate(path: Path, store: SqliteStore, raw: Connect):
    """Batches of records with a short ttl do not accumulate."""
    for batch in range(20):
        items = [(Address(SPACE, f"{batch}-{number}"), b"1") for number in range(100)]
        store.write_many(items, 1, deadline=deadline())
        time.sleep(0.002)
    (rows,) = raw(path).execute("SELECT count(*) FROM fibonacci_records").fetchone()
    assert rows <= 300


def test_sweep_of_a_busy_database_is_skipped(
    path: Path, raw: Connect, store: SqliteStore, caplog: pytest.LogCaptureFixture
):
    """A sweep that finds the database busy is skipped without an error, and logged at DEBUG."""
    caplog.set_level(logging.DEBUG, "fibonacci.sqlite")
    store.read(Address(SPACE, "k"), deadline=deadline())
    raw(path).execute("BEGIN IMMEDIATE")
    store._sweep(1_000)
    skipped = ("DEBUG", "expired records were not deleted: database is locked")
    assert take_records(caplog, "fibonacci.sqlite")[-1] == skipped
    assert store.read(Address(SPACE, "k"), deadline=deadline()) is None


def test_clear_in_steps(store: SqliteStore):
    """clear() removes a bounded number of records at a time, in key order (C6)."""
    keys = sorted(f"k{number}" for number in range(450))
    store.write_many([(Address(SPACE, key), b"1") for key in keys], None, deadline=deadline())
    store.write(Address(SPACE._replace(owner="w2"), "k"), b"1", None, deadline=deadline())
    cursor = store.clear(SPACE, deadline=deadline())
    assert cursor == keys[199]
    assert store.scan(SPACE, deadline=deadline()).keys == keys[200:]
    cursor = store.clear(SPACE, cursor=cursor, deadline=deadline())
    assert store.clear(SPACE, cursor=cursor, deadline=deadline()) is None
    assert store.scan(SPACE, deadline=deadline()).keys == []
    assert store.scan(SPACE._replace(owner="w2"), deadline=deadline()).keys == ["k"]


def test_closed_store_keeps_no_connection_open(store: SqliteStore):
    """A store that is used after close() opens the file, and closes it at once."""
    address = Address(SPACE, "k")
    store.write(address, b"1", None, deadline=deadline())
    store.close()
    assert store.read(address, deadline=deadline()) == b"1"
    assert store._database._pool._in_use() == []
