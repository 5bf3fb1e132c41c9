"""Ways from a hash slot to the server that has it."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci_redis.faults import STALE, refused
from fibonacci_redis.node import Node, Session
from fibonacci_redis.wire import ReplyError, Request, first_error, joined

AT_ONCE: Final = 4 * 1024 * 1024
"""Bytes sent at one go; a larger batch goes in several."""


Asker = Callable[[Request], Awaitable[list[Any]]]


class Routes(ABC):
    """Asks the right server, and raises what it refuses."""

    clustered: ClassVar[bool] = False

    @abstractmethod
    async def node(self, slot: int, deadline: float) -> Node:
        """Return the server that has the slot."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    async def exchange(
        self, node: Node, request: Request, deadline: float, session: Session | None = None
    ) -> list[Any]:
        """Send a request to the server; a way that may have become another one looks out here."""
        return await (session or node).exchange(request, deadline)

    async def opened(self, node: Node, deadline: float) -> Session:
        """Return a connection of the caller's own; the same looking out is due here."""
        return await node.session(deadline)

    async def refuse(
        self, error: ReplyError, request: Request, node: Node, deadline: float
    ) -> list[Any]:
        """Raise what an error reply means, or return the replies of a server that knows better."""
        raise self.refusal(error, node)

    async def ask(self, request: Request, deadline: float) -> list[Any]:
        """Return the replies to a request. Raises StorageError, and ReplyError for NOSCRIPT."""
        node = await self.node(request.slot, deadline)
        replies = await self.exchange(node, request, deadline)
        error = first_error(replies)
        return replies if error is None else await self.refuse(error, request, node, deadline)

    async def ask_all(self, requests: Sequence[Request], deadline: float) -> list[list[Any]]:
        """Return the replies to several requests, sent at one go as far as one server has them.

        Where some were applied and some were not, the outcome of the whole is unknown.
        """
        if len(requests) == 1:  # the rule
            return [await self.ask(requests[0], deadline)]
        answers: list[list[Any]] = []
        faults: list[StorageError] = []
        for node, together in await self._groups(requests, deadline):
            try:
                replies = await self.exchange(node, joined(together), deadline)
            except StorageError as fault:
                faults.append(fault)
                break
            for request in together:
                own = replies[: request.replies]
                del replies[: request.replies]
                try:
                    answers.append(await self._answer(own, request, node, deadline))
                except StorageError as fault:
                    faults.append(fault)
        if faults:
            raise _told(faults[0], partly=bool(answers) and requests[0].writes)
        return answers

    async def session(self, slot: int, deadline: float) -> tuple[Session, Asker]:
        """Return a connection of the caller's own, and what asks on it as ``ask`` does."""
        node = await self.node(slot, deadline)
        session = await self.opened(node, deadline)

        async def asked(request: Request) -> list[Any]:
            replies = await self.exchange(node, request, deadline, session)
            error = first_error(replies)
            if error is not None:
                raise self.refusal(error, node)
            return replies

        return session, asked

    def refusal(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        """Return what an error reply means; NOSCRIPT is the asker's affair."""
        if error.code == "NOSCRIPT":
            return error
        if error.code in STALE:
            node.forget()
        return refused(error, node.endpoint, clustered=self.clustered)

    async def _answer(
        self, replies: list[Any], request: Request, node: Node, deadline: float
    ) -> list[Any]:
        error = first_error(replies)
        return replies if error is None else await self.refuse(error, request, node, deadline)

    async def _groups(
        self, requests: Sequence[Request], deadline: float
    ) -> list[tuple[Node, list[Request]]]:
        """The requests in their order, those together that go to one server at one go."""
        groups: list[tuple[Node, list[Request]]] = []
        size = 0
        for request in requests:
            node = await self.node(request.slot, deadline)
            size += len(request.data)
            if not groups or groups[-1][0] is not node or size > AT_ONCE:
                groups.append((node, []))
                size = len(request.data)
            groups[-1][1].append(request)
        return groups


def unreached(fault: StorageError, hint: str) -> StorageError:
    """Return the fault, with a hint where it is that no connection could be made."""
    if not isinstance(fault.__cause__, OSError):
        return fault
    told = BackendUnavailableError(f"{fault}. {hint}")
    told.__cause__ = fault.__cause__
    return told


def _told(fault: StorageError, *, partly: bool) -> StorageError:
    if partly and isinstance(fault, BackendUnavailableError):
        told = OutcomeUnknownError(f"{fault}. Some of the records were written before")
        told.__cause__ = fault
        return told
    return fault


class Standalone(Routes):
    """One server for all."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def node(self, slot: int, deadline: float) -> Node:
        return self._node

    async def ask(self, request: Request, deadline: float) -> list[Any]:
        # Of all that the others look out for nothing can be: two steps less on the busiest path.
        replies = await self._node.exchange(request, deadline)
        error = first_error(replies)
        if error is not None:
            raise self.refusal(error, self._node)
        return replies

    def close(self) -> None:
        self._node.close()
