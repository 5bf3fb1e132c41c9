"""The pool of connections to the file, and forks.

SQLite forbids using a connection after a fork, and the rule reaches further than its words: what
a process knows of the locks it holds is stored once per file, and copied with the process, while
the locks themselves are not. A child that opened the file again would learn from that copy that it
has its locks already. The parent's last close would then delete the log while the child uses it,
and with the log what the child had acknowledged; and a copy taken during a write says "locked" for
ever. So no connection may be open at the moment of a fork: all are closed before, and opened again
when they are needed, in the parent and in the child.
"""

import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from time import monotonic, sleep
from typing import Final

from fibonacci.errors import StorageError
from fibonacci.plugin.runtime import keep_alive_in_child, on_fork
from fibonacci_sqlite.connection import Connection

MAX_IDLE: Final = 16
"""Connections that stay open while they are not used."""

FORK_TIMEOUT: Final = 5.0
"""Seconds that a fork waits for operations in other threads; they take milliseconds each."""

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
