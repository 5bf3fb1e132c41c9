"""One server, as the operations see it: the same in both voices."""

from typing import Any, Protocol

from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.wire import Request


class Asked(Protocol):
    """Whatever takes a request."""

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        ...


class Session(Asked, Protocol):
    """A connection for several requests in a row."""

    def end(self, *, clean: bool) -> None:
        """Give the connection back; close it, unless it is as it was before."""
        ...


class Node(Asked, Protocol):
    """One server. In the sync voice its coroutines never wait."""

    endpoint: Endpoint
    reached: bool
    """Whether there ever was a connection to it."""

    async def session(self, deadline: float) -> Session:
        """Return a connection of the caller's own."""
        ...

    def forget(self) -> None:
        """Use none of the open connections any more."""
        ...

    def retire(self) -> None:
        """Serve those who wait for an answer, and nobody else."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...
