"""Redis Sentinel: which server is the primary now.

See https://redis.io/docs/latest/develop/reference/sentinel-clients/.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, Waiter, share_deadline
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import STALE
from fibonacci_redis.node import Node, Session
from fibonacci_redis.routes import Routes
from fibonacci_redis.wire import ReplyError, Request, pack


class Sentinel(Routes):
    """The primary of one service, asked of the sentinels before the first use and after a fault."""

    def __init__(
        self,
        sentinels: Sequence[Endpoint],
        service: str,
        primary: Endpoint,
        make: Callable[[Endpoint], Node],
        waiter: type[Waiter],
    ) -> None:
        self._sentinels = list(sentinels)
        self._service = service
        self._primary = primary
        """How to connect to the primary; host and port are still to be found."""
        self._make = make
        self._question = Request(
            0, pack((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service)), 1, writes=False
        )
        self._search: SingleFlight[Node] = SingleFlight(waiter)
        self._known: Node | None = None
        self._last: Node | None = None
        """The primary that was known last: often it is found to be the primary still."""
        self._closed = False

    async def node(self, slot: int, deadline: float) -> Node:
        return self._known or await self._searched(deadline)

    async def exchange(
        self, node: Node, request: Request, deadline: float, session: Session | None = None
    ) -> list[Any]:
        try:
            return await (session or node).exchange(request, deadline)
        except (BackendUnavailableError, OutcomeUnknownError):
            self._doubt(node)
            raise

    def refusal(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        if error.code in STALE:  # a primary that was, most likely
            self._doubt(node)
        return super().refusal(error, node)

    def close(self) -> None:
        self._closed, self._known = True, None
        last, self._last = self._last, None
        if last is not None:
            last.close()

    def _doubt(self, node: Node) -> None:
        """Ask the sentinels anew; unless that was done since the node was asked."""
        if node is self._known:
            self._known = None
            node.forget()

    async def _searched(self, deadline: float) -> Node:
        """The primary, looked for once for all who wait."""
        try:
            return await self._search.do(partial(self._find, deadline), deadline=deadline)
        except DeadlineExceeded:
            text = f"no sentinel named the primary of {self._service!r}: out of time"
        raise BackendUnavailableError(text)

    async def _find(self, deadline: float) -> Node:
        """Ask the sentinels in turn, each with its share of the time, until one knows."""
        fault: StorageError | None = None
        for turn, sentinel in enumerate(list(self._sentinels)):
            share = share_deadline(deadline, len(self._sentinels) - turn)
            try:
                address = await self._ask_one(sentinel, share)
            except StorageError as told:
                fault = told
                continue
            # Who answered is asked first the next time.
            self._sentinels.sort(key=lambda other: other is not sentinel)
            return self._adopt(address)
        assert fault is not None
        raise fault

    async def _ask_one(self, sentinel: Endpoint, deadline: float) -> tuple[str, int]:
        node = self._make(sentinel)
        try:
            [reply] = await node.exchange(self._question, deadline)
        finally:
            node.close()
        if isinstance(reply, ReplyError):
            raise self.refusal(reply, node)
        if reply is None:
            raise StorageError(f"the sentinel at {sentinel} knows no service {self._service!r}")
        return reply[0].decode(), int(reply[1])

    def _adopt(self, address: tuple[str, int]) -> Node:
        host, port = address
        endpoint, last = attrs.evolve(self._primary, host=host, port=port), self._last
        if last is not None and last.endpoint == endpoint:
            node = last
        else:
            node = self._make(endpoint)
            if last is not None:
                last.retire()
        if self._closed:
            node.retire()
        else:
            self._known = self._last = node
        return node
