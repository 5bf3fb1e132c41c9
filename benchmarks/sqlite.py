"""The ``sqlite`` backend against sqlite3 by itself, both in WAL, ``synchronous = normal``.

The floor is the best that one can write by hand: one connection, one cursor, prepared statements,
orjson, and no checks, no expiry, no deadline, no threads. Each set writes other bytes than the
one before it: SQLite does not write a row that stays the same. Run it with
``python benchmarks/sqlite.py``.
"""

import platform
import sqlite3
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from measure import seconds_per_call
from values import VALUES

from fibonacci import MemoryConfig, Workflow

TABLE = "CREATE TABLE plain (key TEXT PRIMARY KEY, value BLOB NOT NULL)"
GET = "SELECT value FROM plain WHERE key = ?"
SET = """\
INSERT INTO plain VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"""


def plain(path: Path, synchronous: str) -> sqlite3.Cursor:
    """Return a cursor on a database with the simplest table."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute(TABLE)
    return database.cursor()


def contenders(directory: Path, value: Any, synchronous: str) -> dict[str, Callable[[], object]]:
    """Return what is compared, on two databases in the directory."""
    cursor = plain(directory / "plain.db", synchronous)
    url = f"sqlite:///{directory / 'ours.db'}?synchronous={synchronous}"
    memory = Workflow("benchmark", MemoryConfig("sqlite", url)).memory
    changing, plain_changing = cycle([[value, 1], [value, 2]]), cycle([[value, 1], [value, 2]])
    memory.set("key", [value, 0])
    cursor.execute(SET, ("key", orjson.dumps([value, 0])))
    return {
        "plain get": lambda: orjson.loads(cursor.execute(GET, ("key",)).fetchone()[0]),
        "get": lambda: memory.get("key"),
        "plain set": lambda: cursor.execute(SET, ("key", orjson.dumps(next(plain_changing)))),
        "set": lambda: memory.set("key", next(changing)),
    }


def main(synchronous: str = "normal") -> None:
    """Print a table: microseconds, and the memory's speed relative to plain sqlite3's."""
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {synchronous}")
    print(f"{'value':8}{'verb':8}{'plain µs':>10}{'ours µs':>10}{'ratio':>8}")
    for name, value in VALUES.items():
        with TemporaryDirectory() as directory:
            found = seconds_per_call(contenders(Path(directory), value, synchronous))
        for verb in ("get", "set"):
            floor, ours = found[f"plain {verb}"] * 1e6, found[verb] * 1e6
            print(f"{name:8}{verb:8}{floor:10.2f}{ours:10.2f}{floor / ours:8.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
