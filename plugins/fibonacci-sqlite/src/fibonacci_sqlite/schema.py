"""The table, its version, and the check that a file is a database of this package."""

import sqlite3
from typing import Final

from fibonacci.errors import StorageError

VERSION: Final = 1
"""The ``PRAGMA user_version`` of this release. A change of the table increments it."""

APPLICATION_ID: Final = 0x4669626F  # "Fibo"
"""Marks the file as ours (https://www.sqlite.org/fileformat2.html#application_id)."""

# A table with rowids: without them, a row is stored in the index itself, and from 2 KB on reads and
# writes take twice as long. Keys are blobs, which sort by their bytes whatever the file's encoding.
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
"""What creates the table in an empty database, in one transaction."""


def script() -> str:
    """Return the SQL that creates the database by hand, for ``create=false``."""
    statements = ("PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE", *STATEMENTS, "COMMIT")
    return "".join(f"{statement};\n" for statement in statements)


def prepare(database: sqlite3.Connection, path: str, *, create: bool) -> None:
    """Create the table in an empty database, with ``create``; check one that is not empty.

    Another process may do the same at this moment: then the database is busy, which raises here
    and is retried, or no longer empty. Raises StorageError, with nothing changed; sqlite3.Error.
    """
    if _state(database) == _EMPTY:
        if not create:
            raise StorageError(
                f"database {path!r} is empty, and create=false: create its table with "
                f"`python -m fibonacci_sqlite | sqlite3 FILE`, or set create=true"
            )
        _use_wal(database, path)
        database.execute("BEGIN IMMEDIATE")
        if _state(database) == _EMPTY:
            for statement in STATEMENTS:
                database.execute(statement)
        database.execute("COMMIT")
    check(database, path)
    _use_wal(database, path)


_EMPTY: Final = (0, 0, 0)


def _state(database: sqlite3.Connection) -> tuple[int, int, int]:
    """Return the number of tables and indexes, the application id and the schema version."""
    state: tuple[int, int, int] = database.execute(
        "SELECT (SELECT count(*) FROM sqlite_master), application_id, user_version "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    return state


def check(database: sqlite3.Connection, path: str) -> None:
    """Raise StorageError if the database is another application's, or another release's."""
    _, application_id, version = _state(database)
    if application_id != APPLICATION_ID:
        raise StorageError(
            f"database {path!r} belongs to another application and was not modified: use a "
            f"separate file"
        )
    if version > VERSION:
        raise StorageError(
            f"database {path!r} was created by a newer fibonacci-sqlite (its schema has version "
            f"{version}, this release supports {VERSION}), and was not modified. Upgrade: "
            f"pip install --upgrade fibonacci-sqlite"
        )
    if version < VERSION:
        raise StorageError(
            f"database {path!r} has schema version {version}, which no release of "
            f"fibonacci-sqlite wrote, and was not modified: restore it, or use another file"
        )


def _use_wal(database: sqlite3.Connection, path: str) -> None:
    """Switch to a write-ahead log; if the file has one already, this only reads."""
    (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageError(
            f"database {path!r} can't have a write-ahead log (its journal is {mode!r}): the file "
            f"must be on a local disk, where processes can share memory"
        )
