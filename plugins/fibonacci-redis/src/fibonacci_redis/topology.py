"""Topologies: which server holds a hash slot, and how requests are sent to it."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, Protocol

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import RECONNECT, map_reply_error
from fibonacci_redis.protocol import ReplyError, Request, find_error, pipeline

MAX_PIPELINE_SIZE: Final = 4 * 1024 * 1024
"""Bytes sent together; a larger batch is sent in several parts."""


_log: Final = logging.getLogger("fibonacci.redis")


class RequestTarget(Protocol):
    """Executes requests."""

    async def execute(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, including error replies."""
        ...


class Session(RequestTarget, Protocol):
    """A connection reserved for one caller, for several requests in a row."""

    def release(self, *, reusable: bool) -> None:
        """Return the connection to its node; close it unless its state is as before."""
        ...


class Node(RequestTarget, Protocol):
    """One server, sync or async. In sync code its coroutines never suspend."""

    endpoint: Endpoint
    was_reached: bool
    """Whether a connection to it was ever established."""

    async def session(self, deadline: float) -> Session:
        """Return a connection reserved for the caller."""
        ...

    def drop_connections(self) -> None:
        """Stop using the connections that are open now."""
        ...

    def retire(self) -> None:
        """Serve the requests that are pending, and no new ones."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


SessionExecutor = Callable[[Request], Awaitable[list[Any]]]


class Topology(ABC):
    """Sends each request to the server that holds its slot, and raises what it refuses."""

    is_cluster: ClassVar[bool] = False

    @abstractmethod
    async def node(self, slot: int, deadline: float) -> Node:
        """Return the server that holds the slot."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    async def execute_on(
        self, node: Node, request: Request, deadline: float, session: Session | None = None
    ) -> list[Any]:
        """Send a request to the server; subclasses detect here that the topology changed."""
        return await (session or node).execute(request, deadline)

    async def open_session(self, node: Node, deadline: float) -> Session:
        """Return a connection reserved for the caller; subclasses detect changes here, too."""
        return await node.session(deadline)

    async def handle_error(
        self, error: ReplyError, request: Request, node: Node, deadline: float
    ) -> list[Any]:
        """Raise what an error reply means, or return the replies of the server it refers to."""
        raise self.map_error(error, node)

    async def execute(self, request: Request, deadline: float) -> list[Any]:
        """Return the replies to a request. Raises StorageError, and ReplyError for NOSCRIPT."""
        node = await self.node(request.slot, deadline)
        replies = await self.execute_on(node, request, deadline)
        error = find_error(replies)
        return replies if error is None else await self.handle_error(error, request, node, deadline)

    async def execute_many(self, requests: Sequence[Request], deadline: float) -> list[list[Any]]:
        """Return the replies to several requests; those for one server are sent together.

        If some were applied and some were not, the outcome of the whole is unknown.
        """
        if len(requests) == 1:  # the usual case
            return [await self.execute(requests[0], deadline)]
        results: list[list[Any]] = []
        errors: list[StorageError] = []
        for node, group in await self._group_by_node(requests, deadline):
            try:
                replies = await self.execute_on(node, pipeline(group), deadline)
            except StorageError as error:
                errors.append(error)
                break
            for request in group:
                own_replies = replies[: request.reply_count]
                del replies[: request.reply_count]
                try:
                    results.append(await self._check(own_replies, request, node, deadline))
                except StorageError as error:
                    errors.append(error)
        if errors:
            raise _map_partial(errors[0], partial=bool(results) and requests[0].writes)
        return results

    async def session(self, slot: int, deadline: float) -> tuple[Session, SessionExecutor]:
        """Return a connection reserved for the caller, and a function that executes on it."""
        node = await self.node(slot, deadline)
        session = await self.open_session(node, deadline)

        async def execute(request: Request) -> list[Any]:
            replies = await self.execute_on(node, request, deadline, session)
            error = find_error(replies)
            if error is not None:
                raise self.map_error(error, node)
            return replies

        return session, execute

    def map_error(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        """Return what an error reply means; NOSCRIPT is left to the caller."""
        if error.code == "NOSCRIPT":
            return error
        if error.code in RECONNECT:
            _log.debug("%s replied %s: its connections are closed", node.endpoint, error.code)
            node.drop_connections()
        return map_reply_error(error, node.endpoint, is_cluster=self.is_cluster)

    async def _check(
        self, replies: list[Any], request: Request, node: Node, deadline: float
    ) -> list[Any]:
        error = find_error(replies)
        return replies if error is None else await self.handle_error(error, request, node, deadline)

    async def _group_by_node(
        self, requests: Sequence[Request], deadline: float
    ) -> list[tuple[Node, list[Request]]]:
        """Return the requests in their order, grouped by server and bounded in size."""
        groups: list[tuple[Node, list[Request]]] = []
        size = 0
        for request in requests:
            node = await self.node(request.slot, deadline)
            size += len(request.data)
            if not groups or groups[-1][0] is not node or size > MAX_PIPELINE_SIZE:
                groups.append((node, []))
                size = len(request.data)
            groups[-1][1].append(request)
        return groups


def add_hint(error: StorageError, hint: str) -> StorageError:
    """Return the error, with a hint added if it says that no connection could be established."""
    if not isinstance(error.__cause__, OSError):
        return error
    hinted = BackendUnavailableError(f"{error}. {hint}")
    hinted.__cause__ = error.__cause__
    return hinted


def _map_partial(error: StorageError, *, partial: bool) -> StorageError:
    if partial and isinstance(error, BackendUnavailableError):
        unknown = OutcomeUnknownError(f"{error}. Some of the records were written before")
        unknown.__cause__ = error
        return unknown
    return error


class Standalone(Topology):
    """One server for all slots."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def node(self, slot: int, deadline: float) -> Node:
        return self._node

    async def execute(self, request: Request, deadline: float) -> list[Any]:
        # There is no topology that could change: two calls fewer on the hot path.
        replies = await self._node.execute(request, deadline)
        error = find_error(replies)
        if error is not None:
            raise self.map_error(error, self._node)
        return replies

    def close(self) -> None:
        self._node.close()
