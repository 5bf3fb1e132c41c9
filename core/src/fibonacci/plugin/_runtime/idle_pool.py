"""Connections at rest: the one used last is used first, and none for longer than is safe."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, Generic, Protocol, TypeVar


class Poolable(Protocol):
    """A connection that can rest in an idle pool."""

    idle_since: float
    """A reading of ``time.monotonic()``, which the pool sets."""

    def is_reusable(self) -> bool:
        """Say, without waiting, whether it is open and nothing has come on it."""
        ...

    def close(self) -> object:
        """Close it, without waiting."""


C = TypeVar("C", bound=Poolable)


class IdlePool(Generic[C]):
    """A stack of idle connections, for threads and for tasks.

    What stands between client and server (a NAT, a load balancer, a tunnel) forgets an idle
    connection in silence, often in minutes: what is sent on it then is lost, and only a time-out
    tells. So a connection that was idle for ``max_age`` seconds is closed instead of used.

    No lock is taken: appending to a list, and popping from it, is one step. A connection is either
    in the list or in one caller's hands, so one that an exception loses is missed by nobody.
    """

    def __init__(
        self,
        *,
        max_idle: int,
        max_age: float,
        drop: Callable[[C], object] = lambda connection: connection.close(),
    ) -> None:
        """Keep at most ``max_idle`` connections; ``drop`` closes one, and frees what it took."""
        self._max_idle = max_idle
        self._max_age: Final = max_age
        self._drop: Final = drop
        self._idle: list[C] = []

    def pop(self) -> C | None:
        """Return a connection that can be used, if there is one; close those that can't."""
        idle = self._idle
        while True:
            try:
                connection = idle.pop()  # _last, written out: every request takes this path
            except IndexError:
                return None
            now = monotonic()
            if now - connection.idle_since < self._max_age and connection.is_reusable():
                if idle:
                    self._drop_oldest(now)
                return connection
            self._drop(connection)

    def push(self, connection: C) -> None:
        """Take a connection back, on which nothing is awaited any more."""
        connection.idle_since = monotonic()
        self._idle.append(connection)
        if len(self._idle) > self._max_idle:
            self._drop_first()

    def clear_older_than(self, seconds: float) -> None:
        """Close what was idle for so long.

        For a connection that timed out after it had been idle: those which rested as long are most
        likely lost as well, and each would cost another caller a time-out.
        """
        limit = monotonic() - seconds
        while self._is_first_older(limit):
            self._drop_first()

    def clear(self) -> None:
        """Close all that is idle."""
        for connection in self._take_all():
            self._drop(connection)

    def close(self) -> None:
        """Close all that is idle, and what comes back from now on."""
        self._max_idle = 0
        self.clear()

    def _is_first_older(self, limit: float) -> bool:
        try:
            return self._idle[0].idle_since <= limit  # they stand in the order of their age
        except IndexError:
            return False

    def _take_all(self) -> Iterator[C]:
        while (connection := self._last()) is not None:
            yield connection

    def _last(self) -> C | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _drop_oldest(self, now: float) -> None:
        """Close one that nobody needed for too long, after a burst of callers."""
        oldest = self._idle[:1]  # in one step: another thread may take it
        if oldest and now - oldest[0].idle_since >= self._max_age:
            self._drop_first()

    def _drop_first(self) -> None:
        try:
            connection = self._idle.pop(0)
        except IndexError:
            return
        self._drop(connection)
