"""A pool of idle connections: last in, first out; connections idle for too long are closed."""

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from logging import Logger


class Poolable(Protocol):
    """A connection that an idle pool can hold."""

    idle_since: float
    """A reading of ``time.monotonic()``, which the pool sets."""

    def is_reusable(self) -> bool:
        """Return, without waiting, whether it is open and has received nothing."""
        ...

    def close(self) -> object:
        """Close it, without waiting."""


C = TypeVar("C", bound=Poolable)


class IdlePool(Generic[C]):
    """A stack of idle connections, for threads and for tasks.

    A NAT, a load balancer or a tunnel between client and server drops an idle connection silently,
    often within minutes: a request sent on it is lost, which only a timeout reveals. So a
    connection that was idle for ``max_age`` seconds is closed instead of used.

    A connection needs an attribute ``idle_since``, which the pool sets, a method ``is_reusable()``,
    which says without waiting whether it is open and has received nothing, and ``close()``, which
    does not wait.

    No lock is taken: appending to a list, and popping from it, is one step. A connection is either
    in the list or in use by one caller, so a connection that an exception loses leaves
    nothing inconsistent.
    """

    def __init__(
        self,
        *,
        max_idle: int,
        max_age: float,
        logger: "Logger | None" = None,
        server: object = "the server",
    ) -> None:
        """Hold at most ``max_idle`` connections to a server.

        ``logger`` gets a record, at DEBUG, for each connection that was idle for too long, with
        ``server``, such as host and port.
        """
        self._max_idle = max_idle
        self._max_age: Final = max_age
        self._logger: Final = logger
        self._server: Final = server
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
                    self._discard_oldest_if_expired(now)
                return connection
            self._discard(connection)

    def push(self, connection: C) -> None:
        """Return a connection to the pool; no response may be pending on it."""
        connection.idle_since = monotonic()
        self._idle.append(connection)
        if len(self._idle) > self._max_idle:
            self._discard_oldest()

    def clear_older_than(self, seconds: float) -> None:
        """Close the connections that were idle for at least this many seconds.

        Call it after a timeout on a connection that had been idle: others that were idle as long
        are probably lost too, and each would cost another caller a timeout.
        """
        limit = monotonic() - seconds
        while self._is_first_older(limit):
            self._discard_oldest()

    def clear(self) -> None:
        """Close all idle connections."""
        for connection in self._take_all():
            self._discard(connection)

    def close(self) -> None:
        """Close all idle connections, and those that are returned from now on."""
        self._max_idle = 0
        self.clear()

    def _is_first_older(self, limit: float) -> bool:
        try:
            return self._idle[0].idle_since <= limit  # in the order of their age
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

    def _discard(self, connection: C) -> None:
        seconds = monotonic() - connection.idle_since
        connection.close()
        if self._logger is not None and seconds >= self._max_age:
            text = "closed a connection to %s that was idle for %.1f s"
            self._logger.debug(text, self._server, seconds)

    def _discard_oldest_if_expired(self, now: float) -> None:
        """Close one that nobody needed for too long, after a burst of callers."""
        oldest = self._idle[:1]  # in one step: another thread may take it
        if oldest and now - oldest[0].idle_since >= self._max_age:
            self._discard_oldest()

    def _discard_oldest(self) -> None:
        try:
            connection = self._idle.pop(0)
        except IndexError:
            return
        self._discard(connection)
