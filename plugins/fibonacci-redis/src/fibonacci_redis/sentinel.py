"""Redis Sentinel: which server is the primary now.

See https://redis.io/docs/latest/develop/reference/sentinel-clients/.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import attrs

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import STALE
from fibonacci_redis.node import Asked, Node
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
    ) -> None:
        self._sentinels = list(sentinels)
        self._service = service
        self._primary = primary
        """How to connect to the primary; host and port are still to be found."""
        self._make = make
        self._question = Request(
            0, pack((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service)), 1, writes=False
        )
        self._known: Node | None = None

    async def node(self, slot: int, deadline: float) -> Node:
        return self._known or await self._find(deadline)

    async def exchange(self, to: Asked, request: Request, deadline: float) -> list[Any]:
        try:
            return await to.exchange(request, deadline)
        except (BackendUnavailableError, OutcomeUnknownError):
            self._doubt()
            raise

    def refusal(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        if error.code in STALE:  # a primary that was, most likely
            self._doubt()
        return super().refusal(error, node)

    def close(self) -> None:
        known, self._known = self._known, None
        if known is not None:
            known.close()

    def _doubt(self) -> None:
        known, self._known = self._known, None
        if known is not None:
            known.forget()

    async def _find(self, deadline: float) -> Node:
        """Ask the sentinels in turn, each with its share of the time, until one knows."""
        fault: StorageError | None = None
        for turn, sentinel in enumerate(list(self._sentinels)):
            now = monotonic()
            share = now + (deadline - now) / (len(self._sentinels) - turn)
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
        self._known = self._make(attrs.evolve(self._primary, host=host, port=port))
        return self._known
