"""One connection to the file: how it is opened, and that it is closed whatever happens."""

import os
import sqlite3
from contextlib import suppress
from typing import Final, Literal
from urllib.parse import quote

import attrs

from fibonacci_sqlite.schema import prepare

Synchronous = Literal["normal", "full"]

SYNCHRONOUS: Final[tuple[Synchronous, ...]] = ("normal", "full")
"""When a commit is on the disk: by the next checkpoint, or before it is acknowledged."""


@attrs.frozen(kw_only=True)
class Opening:
    """Which file to open, and how."""

    path: str
    """Absolute."""
    create: bool = True
    """Make the file and the table where they are missing."""
    synchronous: Synchronous = "normal"


class Connection:
    """An SQLite connection and its one cursor, in the hands of one thread at a time.

    Whoever drops it, an exception at any moment included, has it closed: what was begun on it is
    rolled back.
    """

    __slots__ = ("__weakref__", "closed", "cursor", "database")

    def __init__(self, database: sqlite3.Connection) -> None:
        """Take the connection over."""
        self.database = database
        self.closed = False
        self.cursor = database.cursor()

    def close(self) -> None:
        """Roll back what is not committed, and close."""
        with suppress(sqlite3.ProgrammingError, AttributeError):  # closed already, or not made yet
            # In Python 3.11 a cursor keeps a statement that failed, which keeps the file open.
            self.cursor.close()
        self.database.close()
        self.closed = True

    def __del__(self) -> None:
        """Close: a connection can get lost between any two instructions, by a signal."""
        with suppress(AttributeError):
            self.close()


def open_connection(opening: Opening) -> Connection:
    """Open the file; make it, and its table, where that is asked for.

    Waits for nobody: a database that is busy is an error. Raises sqlite3.Error; StorageError where
    the file is not ours to use.
    """
    if opening.create:
        _make_file(opening.path)
    connection = Connection(
        sqlite3.connect(
            f"file://{quote(os.fsencode(opening.path))}?mode=rw",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
    )
    try:
        connection.database.execute(f"PRAGMA synchronous = {opening.synchronous}")
        prepare(connection.database, opening.path, create=opening.create)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: str) -> None:
    """Make an empty file, for its owner's eyes only; SQLite gives the log the same mode.

    SQLite itself would make it readable to all. Never opens a file that exists: closing it again
    would drop all locks that this process has on it. What else is wrong, SQLite will say.
    """
    with suppress(OSError):
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(os.path.realpath(path), flags, 0o600))
