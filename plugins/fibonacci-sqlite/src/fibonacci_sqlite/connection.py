"""A connection to the file: how it is opened and closed."""

import os
import sqlite3
from contextlib import suppress
from urllib.parse import quote

from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_sqlite.schema import check, prepare
from fibonacci_sqlite.settings import ConnectionOptions


class Connection:
    """An SQLite connection and its only cursor, used by one thread at a time.

    It is closed when its last reference is gone, also by an exception at any moment: what was
    begun on it is rolled back.
    """

    __slots__ = ("__weakref__", "closed", "cursor", "database")

    def __init__(self, database: sqlite3.Connection) -> None:
        """Take ownership of the connection."""
        self.database = database
        self.closed = False
        self.cursor = database.cursor()

    def close(self) -> None:
        """Roll back what is not committed, and close."""
        with suppress(sqlite3.ProgrammingError, AttributeError):  # closed already, or half created
            # In Python 3.11 a cursor keeps a statement that failed, which keeps the file open.
            self.cursor.close()
        self.database.close()
        self.closed = True

    def __del__(self) -> None:
        """Close: a signal handler that raises can drop a connection at any instruction."""
        try:  # noqa: SIM105 - `suppress` may be gone, too
            self.close()
        except (AttributeError, TypeError):  # half created, or Python has shut down
            pass


def open_connection(options: ConnectionOptions) -> Connection:
    """Open the file; with ``create``, create it and its table if they are missing.

    Waits for no lock: a database that is busy is an error. Raises sqlite3.Error; StorageError if
    the file is not a database of ours.
    """
    if options.create and not options.readonly:
        _create_file(options.path)
    connection = Connection(
        sqlite3.connect(
            f"file://{quote(os.fsencode(options.path))}?{_uri_parameters(options)}",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
    )
    try:
        connection.database.execute(f"PRAGMA synchronous = {options.synchronous}")
        _prepare(connection.database, options)
    except BaseException:
        connection.close()
        raise
    return connection


def _uri_parameters(options: ConnectionOptions) -> str:
    """Return how SQLite opens the file.

    If there is no log, and none can be created, the file has to be treated as immutable: SQLite
    then needs no lock and no log.
    """
    if not options.readonly:
        return "mode=rw"
    has_log = os.path.exists(f"{os.path.realpath(options.path)}-wal")
    if has_log or os.access(os.path.dirname(os.path.realpath(options.path)), os.W_OK):
        return "mode=ro"
    return "mode=ro&immutable=1"


def _prepare(database: sqlite3.Connection, options: ConnectionOptions) -> None:
    if options.readonly:
        check(database, options.path)
    else:
        prepare(database, options.path, create=options.create)


def _create_file(path: str) -> None:
    """Create an empty file that only its owner can read; SQLite gives the log the same mode.

    SQLite itself would make it readable to all. A file that exists is never opened: closing it
    would drop all locks that this process has on it. SQLite reports all other errors.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        os.close(os.open(os.path.realpath(path), flags, 0o600))
    except OSError as error:
        raise_for_signal(error)
