"""Keys that somebody else wrote into the file, which are not UTF-8."""

import sqlite3
from pathlib import Path
from time import monotonic

import pytest
from sqlite_bench import Connect

from fibonacci import MemoryManager
from fibonacci.plugin import Address, Space
from fibonacci_sqlite.store import CLEAR_STEP, SqliteStore

SPACE = Space("fibonacci:", "workflow", "w")


def add_foreign_keys(database: sqlite3.Connection) -> None:
    """Write three more records into the only space, none of them with a key of ours."""
    for key in ("6bff", "6b31c328", "ff"):
        database.execute(
            "INSERT INTO fibonacci_records (space, key, value) "
            f"SELECT space, x'{key}', x'31' FROM fibonacci_records LIMIT 1"
        )


def test_left_out(path: Path, memory: MemoryManager, raw: Connect):
    """A key that is not UTF-8 is left out of a listing, which has all the others (C1)."""
    memory.set_many(dict.fromkeys(["a", "k", "k1", "z"], 1))
    add_foreign_keys(raw(path))
    assert memory.list_keys() == ["a", "k", "k1", "z"]
    assert memory.list_keys(pattern="k*") == ["k", "k1"]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_ends_a_page(path: Path, store: SqliteStore, raw: Connect, limit: int):
    """A key that is not UTF-8 may be the last of a page, and the next page goes on (C1)."""
    keys, end = ["a", "k", "k1", "z"], monotonic() + 5
    store.write_many([(Address(SPACE, key), b"1") for key in keys], None, deadline=end)
    add_foreign_keys(raw(path))
    page = store.scan(SPACE, limit=limit, deadline=end)
    listed = list(page.keys)
    while page.cursor is not None:
        page = store.scan(SPACE, cursor=page.cursor, limit=limit, deadline=end)
        listed += page.keys
    assert listed == keys


def test_ends_a_step_of_clear(path: Path, memory: MemoryManager, raw: Connect):
    """A key that is not UTF-8 does not keep a space from being cleared (C6)."""
    memory.set_many({f"a{number:03}": 1 for number in range(CLEAR_STEP - 1)})
    memory.set("z", 1)
    add_foreign_keys(raw(path))
    assert memory.clear() is True
    assert memory.list_keys() == []
