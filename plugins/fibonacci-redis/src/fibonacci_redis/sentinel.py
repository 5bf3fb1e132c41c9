"""Redis Sentinel: which server is the primary now.

See https://redis.io/docs/latest/develop/reference/sentinel-clients/.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import attrs

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, Waiter, share_deadline
from fibonacci_redis.addresses import (
    HostPort,
    NatMap,
    format_address,
    parse_host,
    translate_address,
)
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import RECONNECT
from fibonacci_redis.protocol import ReplyError, Request, pack
from fibonacci_redis.topology import Node, Session, Topology, add_hint

_log: Final = logging.getLogger("fibonacci.redis")


class Sentinel(Topology):
    """The primary of one service; the sentinels name it before the first use and after errors."""

    def __init__(
        self,
        sentinels: Sequence[Endpoint],
        service: str,
        primary: Endpoint,
        nat_map: NatMap,
        create_node: Callable[[Endpoint], Node],
        waiter: type[Waiter],
    ) -> None:
        self._sentinels = list(sentinels)
        self._service = service
        self._primary = primary
        """How to connect to the primary, without its host and port."""
        self._nat_map = nat_map
        self._announced: HostPort | None = None
        """The primary's address as a sentinel announced it last."""
        self._create_node = create_node
        self._primary_request = Request(
            0, pack((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service)), 1, writes=False
        )
        self._search: SingleFlight[Node] = SingleFlight(waiter)
        self._current: Node | None = None
        self._last: Node | None = None
        """The last known primary: often it still is the primary."""
        self._is_closed = False

    async def node(self, slot: int, deadline: float) -> Node:
        return self._current or await self._find_primary_once(deadline)

    async def execute_on(
        self, node: Node, request: Request, deadline: float, session: Session | None = None
    ) -> list[Any]:
        try:
            return await (session or node).execute(request, deadline)
        except (BackendUnavailableError, OutcomeUnknownError) as error:
            self._invalidate(node)
            raise self._add_nat_hint(error, node) from error.__cause__

    async def open_session(self, node: Node, deadline: float) -> Session:
        try:
            return await node.session(deadline)
        except BackendUnavailableError as error:
            self._invalidate(node)
            raise self._add_nat_hint(error, node) from error.__cause__

    def map_error(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        if error.code in RECONNECT:  # probably a former primary
            self._invalidate(node)
        return super().map_error(error, node)

    def close(self) -> None:
        self._is_closed, self._current = True, None
        last, self._last = self._last, None
        if last is not None:
            last.close()

    def _invalidate(self, node: Node) -> None:
        """Make the next caller query the sentinels, unless another node is known already."""
        if node is self._current:
            _log.debug("%s failed, or is no primary: the sentinels are queried", node.endpoint)
            self._current = None
            node.drop_connections()
            # The sentinel that named it is queried last: its information may be outdated.
            first, *others = self._sentinels
            self._sentinels = [*others, first]

    def _add_nat_hint(self, error: StorageError, node: Node) -> StorageError:
        if node.was_reached or self._announced is None:
            return error
        return add_hint(
            error,
            f"A sentinel announces the primary of {self._service!r} at "
            f"{format_address(*self._announced)}: if that address is not reachable from here, "
            f"set the option nat_map",
        )

    async def _find_primary_once(self, deadline: float) -> Node:
        """Return the primary; one search serves all callers that wait."""
        try:
            return await self._search.do(partial(self._find_primary, deadline), deadline=deadline)
        except DeadlineExceeded:
            text = f"timed out before a sentinel named the primary of {self._service!r}"
        raise BackendUnavailableError(text)

    async def _find_primary(self, deadline: float) -> Node:
        """Query the sentinels in turn, each with its share of the time, until one knows."""
        failure: StorageError | None = None
        sentinels = self._sentinels  # never changed in place: another thread may invalidate it
        for number, sentinel in enumerate(sentinels):
            share = share_deadline(deadline, len(sentinels) - number)
            try:
                address = await self._query(sentinel, share)
            except StorageError as error:
                _log.debug("a sentinel named no primary: %s", error)
                # A transient error says more: another sentinel may know what this one never did.
                failure = error if not isinstance(failure, BackendUnavailableError) else failure
                continue
            # The sentinel that responded is queried first the next time.
            self._sentinels = sorted(self._sentinels, key=lambda other: other is not sentinel)
            return self._set_primary(address)
        assert failure is not None
        raise failure

    async def _query(self, sentinel: Endpoint, deadline: float) -> HostPort:
        node = self._create_node(sentinel)
        try:
            [reply] = await node.execute(self._primary_request, deadline)
        finally:
            node.close()
        if isinstance(reply, ReplyError):
            raise self.map_error(reply, node)
        address = format_address(sentinel.host, sentinel.port)
        if reply is None:
            raise StorageError(f"the sentinel at {address} knows no service {self._service!r}")
        announced = _parse_primary(reply)
        if announced is None:
            text = f"the sentinel at {address} names no primary of {self._service!r} now"
            raise BackendUnavailableError(text)
        return announced

    def _set_primary(self, announced: HostPort) -> Node:
        self._announced = announced
        host, port = translate_address(announced, self._nat_map)
        endpoint, last = attrs.evolve(self._primary, host=host, port=port), self._last
        if last is not None and last.endpoint == endpoint:
            node = last
        else:
            node = self._create_node(endpoint)
            if last is None:
                _log.debug("the primary of %r is %s", self._service, endpoint)
            else:
                _log.info(
                    "the primary of %r is now %s, not %s", self._service, endpoint, last.endpoint
                )
                last.retire()
        if self._is_closed:
            node.retire()
        else:
            self._current = self._last = node
        return node


def _parse_primary(reply: Any) -> HostPort | None:
    """Return the host and port in a sentinel's reply; None if it has none."""
    if type(reply) is not list or [type(item) for item in reply] != [bytes, bytes]:
        return None
    host, port = parse_host(reply[0]), reply[1]
    return (host, int(port)) if host and port.isdigit() and int(port) else None
