"""Ways from a hash slot to the server that has it."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import refused
from fibonacci_redis.wire import ReplyError, Request, first_error


class Node(Protocol):
    """One server, in either voice."""

    endpoint: Endpoint

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        ...

    def forget(self) -> None:
        """Close the connections that nobody uses."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Routes(ABC):
    """Asks the right server, and raises what it refuses."""

    def group(self, slot: int) -> int:
        """Slots of one group can stand in one request."""
        return 0

    permanent = frozenset({"WRONGPASS", "NOPERM", "NOAUTH", "MOVED"})

    async def ask(self, request: Request, deadline: float) -> list[Any]:
        """Return the replies to a request; error replies are raised."""
        node = await self.node(request.slot, deadline)
        replies = await node.exchange(request, deadline)
        error = first_error(replies)
        if error is not None:
            raise self._refused(error, node)
        return replies

    def _refused(self, error: ReplyError, node: Node) -> Exception:
        if error.code in ("NOSCRIPT",):
            return error
        return refused(error, str(node.endpoint), permanent=self.permanent)

    @abstractmethod
    async def node(self, slot: int, deadline: float) -> Node:
        """Return the server that has the slot."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""


class Standalone(Routes):
    """One server for all."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def node(self, slot: int, deadline: float) -> Node:
        return self._node

    async def close(self) -> None:
        await self._node.close()
