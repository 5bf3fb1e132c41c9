"""The table, its version, and whose database file a file is."""

import sqlite3
from typing import Final

from fibonacci.errors import StorageError

VERSION: Final = 1
"""What this release writes into ``PRAGMA user_version``. A change of the table adds one."""

APPLICATION_ID: Final = 0x4669626F  # "Fibo"
"""Marks the file as ours (https://www.sqlite.org/fileformat2.html#application_id)."""

# A table with rowids: without, a row lies in the index itself, and from 2 KB on reads and writes
# take twice as long. Keys are blobs, as these sort by their bytes whatever the file's encoding.
_TABLE: Final = """\
CREATE TABLE fibonacci_records (
  space BLOB NOT NULL,
  key BLOB NOT NULL,
  expires_ms INTEGER,
  value BLOB NOT NULL,
  PRIMARY KEY (space, key)
)"""

STATEMENTS: Final = (
    _TABLE,
    "CREATE INDEX fibonacci_expiry ON fibonacci_records (expires_ms) WHERE expires_ms IS NOT NULL",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
"""What makes an empty database ours, in one transaction."""


def script() -> str:
    """Return the SQL to make the database by hand, for ``create=false``."""
    steps = ("PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE", *STATEMENTS, "COMMIT")
    return "".join(f"{step};\n" for step in steps)


def prepare(database: sqlite3.Connection, path: str, *, create: bool) -> None:
    """Make an empty database ours, if it may be, and check one that is not empty.

    Whoever else does the same at this moment is either waited for or seen: a busy database raises
    here, and is asked again. Raises StorageError, with nothing changed; sqlite3.Error.
    """
    if _state(database) == _EMPTY:
        if not create:
            raise StorageError(
                f"database {path!r} is empty, and create=false: make its table with "
                f"`python -m fibonacci_sqlite | sqlite3 FILE`, or let create=true make it"
            )
        _use_log(database, path)
        database.execute("BEGIN IMMEDIATE")
        if _state(database) == _EMPTY:
            for statement in STATEMENTS:
                database.execute(statement)
        database.execute("COMMIT")
    check(database, path)
    _use_log(database, path)


_EMPTY: Final = (0, 0, 0)


def _state(database: sqlite3.Connection) -> tuple[int, int, int]:
    """How many tables and indexes there are, whose they are, and of which version."""
    found: tuple[int, int, int] = database.execute(
        "SELECT (SELECT count(*) FROM sqlite_master), application_id, user_version "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    return found


def check(database: sqlite3.Connection, path: str) -> None:
    """Raise StorageError where the database is not one of ours, or of another release."""
    _, owner, version = _state(database)
    if owner != APPLICATION_ID:
        raise StorageError(
            f"database {path!r} is another application's, and was left as it is: give the memory "
            f"a file of its own"
        )
    if version > VERSION:
        raise StorageError(
            f"database {path!r} was made by a newer fibonacci-sqlite (its schema has version "
            f"{version}, this release knows {VERSION}), and was left as it is. Upgrade: "
            f"pip install --upgrade fibonacci-sqlite"
        )
    if version < VERSION:
        raise StorageError(
            f"database {path!r} has schema version {version}, which no release of "
            f"fibonacci-sqlite wrote, and was left as it is: restore it, or take another file"
        )


def _use_log(database: sqlite3.Connection, path: str) -> None:
    """Have the file keep a write-ahead log; no more than a question where it does already."""
    (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageError(
            f"database {path!r} can't have a write-ahead log (its journal is {mode!r}): the file "
            f"must be on a disk of this machine, where processes can share memory"
        )
