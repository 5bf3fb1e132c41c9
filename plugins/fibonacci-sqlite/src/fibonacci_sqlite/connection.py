"""Connections to the file: how one is opened and closed, the pool of them, and forks.

SQLite forbids using a connection after a fork, and the rule reaches further than its words: what
a process knows of the locks it holds is stored once per file, and copied with the process, while
the locks themselves are not. A child that opened the file again would learn from that copy that it
has its locks already. The parent's last close would then delete the log while the child uses it,
and with the log what the child had acknowledged; and a copy taken during a write says "locked" for
ever. So no connection may be open at the moment of a fork: all are closed before, and opened again
when they are needed, in the parent and in the child.
"""

import os
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from time import monotonic, sleep
from typing import Final
from urllib.parse import quote

from fibonacci.errors import StorageError
from fibonacci.plugin.runtime import keep_alive_in_child, on_fork, raise_for_signal
from fibonacci_sqlite.schema import check, prepare
from fibonacci_sqlite.settings import ConnectionOptions

MAX_IDLE: Final = 16
"""Connections that stay open while they are not used."""

FORK_TIMEOUT: Final = 5.0
"""Seconds that a fork waits for operations in other threads; they take milliseconds each."""


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


_open_lock: Final = RLock()
"""Held while a connection is opened, and during a fork."""
_pools: Final["weakref.WeakSet[ConnectionPool]"] = weakref.WeakSet()


class ConnectionPool:
    """A stack of idle connections: the one used last is used first.

    No lock is taken to get one: popping from a list is atomic. A connection is either in the list
    or used by one thread, so the pool does not count on one that gets lost.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        """Open no connection yet."""
        self._connect = connect
        self._idle: list[Connection] = []
        self._configured_max_idle = self._max_idle = MAX_IDLE
        self._opened: list[weakref.ref[Connection]] = []
        self._usable = True
        with _open_lock:
            _pools.add(self)

    def getconn(self) -> Connection:
        """Return a connection for this thread only. Raises sqlite3.Error, StorageError."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def putconn(self, connection: Connection) -> None:
        """Take back a connection that has no open transaction."""
        self._idle.append(connection)
        if len(self._idle) > self._max_idle:
            self._close_excess(self._max_idle)

    def close(self) -> None:
        """Close idle connections now, and those in use as soon as they are put back."""
        self._configured_max_idle = self._max_idle = 0
        self._close_excess(0)

    def drain_for_fork(self, deadline: float) -> None:
        """Close all connections: those in use as soon as they are put back."""
        self._max_idle = 0
        try:
            self._close_excess(0)
            while self._in_use() and monotonic() < deadline:
                sleep(0.0005)
        finally:
            self._max_idle = self._configured_max_idle

    def reset_after_fork(self) -> None:
        """Drop the connections that the parent had in use: this process can't use them."""
        in_use = self._in_use()
        self._usable = self._usable and not in_use
        keep_alive_in_child(*in_use)
        self._opened.clear()

    def _open(self) -> Connection:
        with _open_lock:
            if not self._usable:
                raise StorageError(
                    "this process was forked during an operation on the database, and can't use "
                    "it: fork when no operation is running"
                )
            connection = self._connect()
            self._opened = [reference for reference in self._opened if reference()]
            self._opened.append(weakref.ref(connection))
            return connection

    def _close_excess(self, max_idle: int) -> None:
        with suppress(IndexError):  # another thread may be faster
            while len(self._idle) > max_idle:
                self._idle.pop().close()

    def _in_use(self) -> list[Connection]:
        connections = (reference() for reference in self._opened)
        return [connection for connection in connections if connection and not connection.closed]


def _before_fork() -> None:
    _open_lock.acquire()
    deadline = monotonic() + FORK_TIMEOUT
    for pool in list(_pools):
        pool.drain_for_fork(deadline)


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.reset_after_fork()
    _open_lock.release()


on_fork(
    before=_before_fork,
    after_in_parent=_open_lock.release,
    after_in_child=_after_fork_in_child,
)
