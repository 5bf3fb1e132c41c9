"""The open connections to one file, and what becomes of them in a fork.

SQLite forbids to carry a connection over a fork, and means more than it says: what a process
knows of the locks it holds is kept once for each file, and copied with the process, while the
locks themselves are not. A child that opened the file anew would be told by that copy that it
has its locks already. The parent's last close would then delete the log under it, and with the
log what the child had acknowledged; and a copy made amid a write says "locked" for ever. So there
must be no open connection at the moment of a fork: all are closed before, and opened again when
they are needed, on both sides.
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

KEPT: Final = 16
"""Connections that stay open while nobody uses them."""

PATIENCE: Final = 5.0
"""Seconds that a fork waits for operations in other threads; they take milliseconds each."""

_opening: Final = RLock()
"""Whoever opens a connection holds it, and whoever forks."""
_pools: Final["weakref.WeakSet[Pool]"] = weakref.WeakSet()


class Pool:
    """Connections that rest, the one used last on top.

    No lock is taken to get one: popping from a list is one step. A connection is in the list or in
    one thread's hands, so one that gets lost is missed by nobody.
    """

    def __init__(self, open_one: Callable[[], Connection]) -> None:
        """Open no connection yet."""
        self._open_one = open_one
        self._idle: list[Connection] = []
        self._wanted = self._kept = KEPT
        self._opened: list[weakref.ref[Connection]] = []
        self._usable = True
        with _opening:
            _pools.add(self)

    def take(self) -> Connection:
        """Return a connection for this thread alone. Raises sqlite3.Error, StorageError."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def give(self, connection: Connection) -> None:
        """Take back a connection on which nothing is begun."""
        self._idle.append(connection)
        if len(self._idle) > self._kept:
            self._shed(self._kept)

    def close(self) -> None:
        """Close what rests now, and what is used as soon as it is given back."""
        self._wanted = self._kept = 0
        self._shed(0)

    def come_to_rest(self, until: float) -> None:
        """Close all connections: those in use as soon as they are given back."""
        self._kept = 0
        try:
            self._shed(0)
            while self._in_use() and monotonic() < until:
                sleep(0.0005)
        finally:
            self._kept = self._wanted

    def start_anew(self) -> None:
        """Part with what the parent had in use: nothing can be done with it in this process."""
        left = self._in_use()
        self._usable = self._usable and not left
        keep_alive_in_child(*left)
        self._opened.clear()

    def _open(self) -> Connection:
        with _opening:
            if not self._usable:
                raise StorageError(
                    "this process was forked in the midst of an operation on the database, and "
                    "can't use it: fork when no operation is under way"
                )
            connection = self._open_one()
            self._opened = [one for one in self._opened if one()]
            self._opened.append(weakref.ref(connection))
            return connection

    def _shed(self, kept: int) -> None:
        with suppress(IndexError):  # another thread may be faster
            while len(self._idle) > kept:
                self._idle.pop().close()

    def _in_use(self) -> list[Connection]:
        found = (one() for one in self._opened)
        return [one for one in found if one and not one.closed]


def _before_fork() -> None:
    _opening.acquire()
    until = monotonic() + PATIENCE
    for pool in list(_pools):
        pool.come_to_rest(until)


def _after_in_child() -> None:
    for pool in list(_pools):
        pool.start_anew()
    _opening.release()


on_fork(
    before=_before_fork,
    after_in_parent=_opening.release,
    after_in_child=_after_in_child,
)
