"""A server, asked by blocking connections: each caller has one to itself while it asks."""

from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError
from fibonacci_redis.connection import Connection
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import lost, unreachable
from fibonacci_redis.wire import Lost, Request, Unsent

MOST_IDLE: Final = 64
"""Connections kept for later; as many as threads ask at once are open meanwhile."""


class BlockingNode:
    """Connections to one server, the one used last first."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # list.pop and list.append are atomic: threads need no lock, a signal handler neither.
        self._idle: list[Connection] = []
        self._most_idle = MOST_IDLE

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        connection = self._take(deadline)
        try:
            replies = connection.exchange(request.data, request.replies, deadline)
        except (Lost, Unsent) as fault:
            connection.close()
            raise lost(fault, str(self.endpoint), writes=request.writes) from fault.__cause__
        except BaseException:
            connection.close()
            raise
        self._put_back(connection)
        return replies

    def _take(self, deadline: float) -> Connection:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread had it
                break
            if connection.is_fresh():
                return connection
            connection.close()
        if monotonic() >= deadline:
            raise BackendUnavailableError(f"{self.endpoint} was not asked: out of time")
        try:
            return Connection(self.endpoint, deadline)
        except Exception as fault:  # noqa: BLE001 - whatever redis-py raises
            raise unreachable(fault, self.endpoint) from None

    def _put_back(self, connection: Connection) -> None:
        connection.rested_since = monotonic()
        if len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            connection.close()

    def forget(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    async def close(self) -> None:
        """Keep no connection any more."""
        self._most_idle = 0
        self.forget()
