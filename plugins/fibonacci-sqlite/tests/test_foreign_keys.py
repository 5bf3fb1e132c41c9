"""Keys in the file that are not UTF-8, from another application."""

import sqlite3
from pathlib import Path

import pytest
from sqlite_helpers import Connect, deadline

from fibonacci import MemoryManager
from fibonacci.plugin import Address, Space
from fibonacci_sqlite.store import CLEAR_STEP, SqliteStore

SPACE = Space("fibonacci:", "workflow", "w")


def add_foreign_keys(database: sqlite3.Connection) -> None:
    """Write three more records into the only space, whose keys this package can't have written."""
    for key in ("6bff", "6b31c328", "ff"):
        database.execute(
            "INSERT INTO fibonacci_records (space, key, value) "
            f"SELECT space, x'{key}', x'31' FROM fibonacci_records LIMIT 1"
        )


def test_listing_skips_invalid_keys(path: Path, memory: MemoryManager, raw: Connect):
    """list_keys() skips keys that are not UTF-8 (C1)."""
    memory.set_many(dict.fromkeys(["a", "k", "k1", "z"], 1))
    add_foreign_keys(raw(path))
    assert memory.list_keys() == ["a", "k", "k1", "z"]
    assert memory.list_keys(pattern="k*") == ["k", "k1"]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_page_may_end_with_an_invalid_key(path: Path, store: SqliteStore, raw: Connect, limit: int):
    """A page of scan() may end with a key that is not UTF-8, and the next page continues (C1)."""
    keys, end = ["a", "k", "k1", "z"], deadline()
    store.write_many([(Address(SPACE, key), b"1") for key in keys], None, deadline=end)
    add_foreign_keys(raw(path))
    page = store.scan(SPACE, limit=limit, deadline=end)
    listed = list(page.keys)
    while page.cursor is not None:
        page = store.scan(SPACE, cursor=page.cursor, limit=limit, deadline=end)
        listed += page.keys
    assert listed == keys


def test_clear_removes_invalid_keys(path: Path, memory: MemoryManager, raw: Connect):
    """clear() is not stopped by keys that are not UTF-8 (C6)."""
    memory.set_many({f"a{number:03}": 1 for number in range(CLEAR_STEP - 1)})
    memory.set("z", 1)
    add_foreign_keys(raw(path))
    assert memory.clear() is True
    assert memory.list_keys() == []
