"""One connection to the file: how it is opened, and that it is closed whatever happens."""

import os
import sqlite3
from contextlib import suppress
from typing import Final, Literal
from urllib.parse import quote

import attrs

from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_sqlite.schema import check, prepare

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
    readonly: bool = False
    """Change nothing, and ask for no right to; ``create`` does not count then."""
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
        try:  # noqa: SIM105 - `suppress` may be gone, too
            self.close()
        except (AttributeError, TypeError):  # not made whole, or Python has ended
            pass


def open_connection(opening: Opening) -> Connection:
    """Open the file; make it, and its table, where that is asked for.

    Waits for nobody: a database that is busy is an error. Raises sqlite3.Error; StorageError where
    the file is not ours to use.
    """
    if opening.create and not opening.readonly:
        _make_file(opening.path)
    connection = Connection(
        sqlite3.connect(
            f"file://{quote(os.fsencode(opening.path))}?{_mode(opening)}",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
    )
    try:
        connection.database.execute(f"PRAGMA synchronous = {opening.synchronous}")
        _prepare(connection.database, opening)
    except BaseException:
        connection.close()
        raise
    return connection


def _mode(opening: Opening) -> str:
    """Return how SQLite is to open the file.

    Where nobody has a log, and none can be made, the file has to be taken for one that nobody
    changes: SQLite then asks for no lock and no log.
    """
    if not opening.readonly:
        return "mode=rw"
    has_log = os.path.exists(f"{os.path.realpath(opening.path)}-wal")
    if has_log or os.access(os.path.dirname(os.path.realpath(opening.path)), os.W_OK):
        return "mode=ro"
    return "mode=ro&immutable=1"


def _prepare(database: sqlite3.Connection, opening: Opening) -> None:
    if opening.readonly:
        check(database, opening.path)
    else:
        prepare(database, opening.path, create=opening.create)


def _make_file(path: str) -> None:
    """Make an empty file, for its owner's eyes only; SQLite gives the log the same mode.

    SQLite itself would make it readable to all. Never opens a file that exists: closing it again
    would drop all locks that this process has on it. What else is wrong, SQLite will say.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        os.close(os.open(os.path.realpath(path), flags, 0o600))
    except OSError as fault:
        raise_for_signal(fault)
