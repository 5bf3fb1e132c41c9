"""Redis Sentinel: which server is the primary now.

See https://redis.io/docs/latest/develop/reference/sentinel-clients/.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, Waiter, share_deadline
from fibonacci_redis.addresses import NatMap, Where, reached_at, shown, told_host
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import STALE
from fibonacci_redis.node import Node, Session
from fibonacci_redis.routes import Routes, unreached
from fibonacci_redis.wire import ReplyError, Request, pack


class Sentinel(Routes):
    """The primary of one service, asked of the sentinels before the first use and after a fault."""

    def __init__(
        self,
        sentinels: Sequence[Endpoint],
        service: str,
        primary: Endpoint,
        nat_map: NatMap,
        make: Callable[[Endpoint], Node],
        waiter: type[Waiter],
    ) -> None:
        self._sentinels = list(sentinels)
        self._service = service
        self._primary = primary
        """How to connect to the primary; host and port are still to be found."""
        self._nat_map = nat_map
        self._named: Where | None = None
        """Host and port of the primary, as a sentinel named them last."""
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
        except (BackendUnavailableError, OutcomeUnknownError) as fault:
            self._doubt(node)
            raise self._told(fault, node) from fault.__cause__

    async def opened(self, node: Node, deadline: float) -> Session:
        try:
            return await node.session(deadline)
        except BackendUnavailableError as fault:
            self._doubt(node)
            raise self._told(fault, node) from fault.__cause__

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
            # Who named it is asked last: its word may be an old one.
            first, *others = self._sentinels
            self._sentinels = [*others, first]

    def _told(self, fault: StorageError, node: Node) -> StorageError:
        if node.reached or self._named is None:
            return fault
        return unreached(
            fault,
            f"A sentinel names the primary of {self._service!r} {shown(*self._named)}: if that is "
            f"not its address from here, say with the option nat_map how it is reached",
        )

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
        sentinels = self._sentinels  # never changed in place: another thread may doubt meanwhile
        for turn, sentinel in enumerate(sentinels):
            share = share_deadline(deadline, len(sentinels) - turn)
            try:
                address = await self._ask_one(sentinel, share)
            except StorageError as told:
                # What may pass tells more: another sentinel may know what this one never did.
                fault = told if not isinstance(fault, BackendUnavailableError) else fault
                continue
            # Who answered is asked first the next time.
            self._sentinels = sorted(self._sentinels, key=lambda other: other is not sentinel)
            return self._adopt(address)
        assert fault is not None
        raise fault

    async def _ask_one(self, sentinel: Endpoint, deadline: float) -> Where:
        node = self._make(sentinel)
        try:
            [reply] = await node.exchange(self._question, deadline)
        finally:
            node.close()
        if isinstance(reply, ReplyError):
            raise self.refusal(reply, node)
        if reply is None:
            raise StorageError(f"the sentinel at {sentinel} knows no service {self._service!r}")
        named = _read(reply)
        if named is None:
            text = f"the sentinel at {sentinel} names no primary of {self._service!r} now"
            raise BackendUnavailableError(text)
        return named

    def _adopt(self, named: Where) -> Node:
        self._named = named
        host, port = reached_at(named, self._nat_map)
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


def _read(reply: Any) -> Where | None:
    """The host and port in a sentinel's reply; None where it names none."""
    if type(reply) is not list or [type(word) for word in reply] != [bytes, bytes]:
        return None
    host, port = told_host(reply[0]), reply[1]
    return (host, int(port)) if host and port.isdigit() and int(port) else None
