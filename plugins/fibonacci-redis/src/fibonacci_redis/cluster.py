"""Redis Cluster: which node holds a slot, and what to do when the slot moves.

See https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import attrs

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, Waiter, share_deadline
from fibonacci_redis.addresses import (
    HostPort,
    NatMap,
    format_address,
    parse_host,
    parse_redirect,
    translate_address,
)
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.protocol import ReplyError, Request, find_error, pack, prepend_asking
from fibonacci_redis.topology import Node, Session, Topology, add_hint

SLOT_COUNT: Final = 16_384
MAX_REDIRECTS: Final = 5
"""How often one request follows a slot that moves."""

CLUSTER_SLOTS: Final = Request(0, pack((b"CLUSTER", b"SLOTS")), 1, writes=False)


_log: Final = logging.getLogger("fibonacci.redis")


class Cluster(Topology):
    """The nodes of a cluster, discovered from a few of them."""

    is_cluster: ClassVar[bool] = True

    def __init__(
        self,
        seeds: Sequence[Endpoint],
        nat_map: NatMap,
        create_node: Callable[[Endpoint], Node],
        waiter: type[Waiter],
    ) -> None:
        self._seeds = seeds
        self._nat_map = nat_map
        self._announced: list[HostPort] = []
        """The nodes' addresses as the cluster announces them."""
        self._create_node = create_node
        self._nodes: dict[HostPort, Node] = {}
        self._candidates: list[HostPort] = [(seed.host, seed.port) for seed in seeds]
        """The nodes to query for the slots, in this order."""
        self._slots: list[Node | None] = []
        """Which node holds which slot; empty before the first query, and after an error."""
        self._last_slots: list[Node | None] = []
        """The slots as they were last reported, for the log."""
        self._discovery: SingleFlight[list[Node | None]] = SingleFlight(waiter)
        self._is_closed = False

    async def node(self, slot: int, deadline: float) -> Node:
        slots = self._slots or await self._discover_once(deadline)
        node = slots[slot]
        if node is None:
            self._slots = []
            raise BackendUnavailableError(f"no node of the cluster serves hash slot {slot} now")
        return node

    async def execute_on(
        self, node: Node, request: Request, deadline: float, session: Session | None = None
    ) -> list[Any]:
        slots = self._slots
        try:
            return await (session or node).execute(request, deadline)
        except (BackendUnavailableError, OutcomeUnknownError) as error:
            self._invalidate(node, slots)
            raise self._add_nat_hint(error, node, slots) from error.__cause__

    async def open_session(self, node: Node, deadline: float) -> Session:
        slots = self._slots
        try:
            return await node.session(deadline)
        except BackendUnavailableError as error:
            self._invalidate(node, slots)
            raise self._add_nat_hint(error, node, slots) from error.__cause__

    def _invalidate(self, node: Node, slots: list[Node | None]) -> None:
        """Make the next caller query the slots, unless they were queried since ``slots``."""
        if self._slots is slots:
            self._slots = []  # a replica may take over
        self._query_last(node.endpoint)

    def _add_nat_hint(
        self, error: StorageError, node: Node, slots: list[Node | None]
    ) -> StorageError:
        if any(known.was_reached for known in {node, *filter(None, slots)}):
            return error
        addresses = ", ".join(format_address(*address) for address in self._announced)
        return add_hint(
            error,
            f"The cluster announces its nodes at {addresses}: if these addresses are not reachable "
            f"from here, set the option nat_map",
        )

    async def handle_error(
        self, error: ReplyError, request: Request, node: Node, deadline: float
    ) -> list[Any]:
        """Follow MOVED and ASK: nothing was applied, and they name the node to send it to."""
        for _ in range(MAX_REDIRECTS):
            redirect = parse_redirect(error)
            if redirect is None:
                break
            _, host, port = redirect
            if error.code == "MOVED":
                self._drop_moved_slots(error, node)
                node = self._announced_node(host or node.endpoint.host, port)
                replies = await self.execute_on(node, request, deadline)
            else:
                node = self._announced_node(host or node.endpoint.host, port)
                replies = await self.execute_on(node, prepend_asking(request), deadline)
                one_asking = len(replies) == request.reply_count + 1
                replies = replies[1:] if one_asking else replies[1::2]
            next_error = find_error(replies)
            if next_error is None:
                return replies
            error = next_error
        raise self.map_error(error, node)

    def map_error(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        if error.code == "MOVED":
            self._drop_moved_slots(error, node)
        elif error.code == "CLUSTERDOWN":
            self._slots = []
        return super().map_error(error, node)

    def close(self) -> None:
        self._is_closed = True
        nodes, self._nodes, self._slots, self._last_slots = self._nodes, {}, [], []
        for node in nodes.values():
            node.close()

    def _drop_moved_slots(self, moved: ReplyError, node: Node) -> None:
        """Make the next caller query the slots, unless the slot's new node is known already."""
        slot, *_ = parse_redirect(moved) or (0,)
        if self._slots and self._slots[slot % SLOT_COUNT] is node:
            self._slots = []
            # The node that reported the slots is queried last: its information may be outdated.
            first, *others = self._candidates
            self._candidates = [*others, first]

    def _announced_node(self, host: str, port: int) -> Node:
        """Return the node that is announced with this address."""
        return self._node_at(*translate_address((host, port), self._nat_map))

    def _node_at(self, host: str, port: int) -> Node:
        node = self._nodes.get((host, port))
        if node is None:
            endpoint = attrs.evolve(self._seeds[0], host=host, port=port)
            node = self._nodes.setdefault((host, port), self._create_node(endpoint))
        if self._is_closed:
            node.retire()
        return node

    def _query_last(self, endpoint: Endpoint) -> None:
        # Never changed in place: another thread may iterate over it.
        last = endpoint.host, endpoint.port
        self._candidates = sorted(self._candidates, key=lambda address: address == last)

    async def _discover_once(self, deadline: float) -> list[Node | None]:
        """Return which node holds which slot; one query serves all callers that wait."""
        try:
            return await self._discovery.do(partial(self._discover, deadline), deadline=deadline)
        except DeadlineExceeded:
            pass
        raise BackendUnavailableError("timed out before a node of the cluster named the others")

    async def _discover(self, deadline: float) -> list[Node | None]:
        """Query the nodes in turn, each with its share of the time, until one responds."""
        candidates = list(self._candidates)
        failure: StorageError | None = None
        for number, (host, port) in enumerate(candidates):
            share = share_deadline(deadline, len(candidates) - number)
            node = self._node_at(host, port)
            try:
                [reply] = await node.execute(CLUSTER_SLOTS, share)
                if isinstance(reply, ReplyError):
                    raise self.map_error(reply, node)
            except StorageError as error:
                _log.debug("a node of the cluster named no others: %s", error)
                failure = error
                continue
            slots = self._parse_slots(reply, node)
            self._log_change(slots)
            self._retire_removed_nodes(node, slots)
            self._slots = [] if self._is_closed else slots
            return slots
        assert failure is not None
        raise failure

    def _log_change(self, slots: list[Node | None]) -> None:
        """Log which nodes hold the slots, if others did before."""
        last, self._last_slots = self._last_slots, slots
        if last == slots:
            return
        holders = ", ".join(str(node.endpoint) for node in dict.fromkeys(filter(None, slots)))
        if last:
            moved = sum(before is not after for before, after in zip(last, slots, strict=True))
            _log.info("hash slots on another node: %d; the primaries are now %s", moved, holders)
        else:
            _log.debug("the cluster's primaries are %s", holders)

    def _retire_removed_nodes(self, queried: Node, slots: list[Node | None]) -> None:
        """Retire nodes without slots; query next the node that responded, the seeds, the others."""
        # In order, without duplicates: a node holds many slots.
        current = dict.fromkeys([queried, *filter(None, slots)])
        seeds = [(seed.host, seed.port) for seed in self._seeds]
        addresses = [(node.endpoint.host, node.endpoint.port) for node in current]
        self._candidates = list(dict.fromkeys([addresses[0], *seeds, *addresses]))
        for address, node in list(self._nodes.items()):
            if node not in current:
                self._nodes.pop(address, None)
                node.retire()

    def _parse_slots(self, reply: list[Any], queried: Node) -> list[Node | None]:
        slots: list[Node | None] = [None] * SLOT_COUNT
        announced: dict[HostPort, Node] = {}
        for first, last, (host, port, *details), *_ in reply:
            # A node without a host is at the host that was queried: it may not know its own name.
            name = parse_host(host) or _parse_ip(host, details) or queried.endpoint.host
            node = announced[name, port] = self._announced_node(name, port)
            slots[first : last + 1] = [node] * (last + 1 - first)
        self._announced = list(announced)
        return slots


def _parse_ip(host: Any, details: list[Any]) -> str:
    """Return the IP address of a node that lacks a hostname where hostnames are preferred."""
    items = details[1] if host == b"?" and len(details) > 1 and type(details[1]) is list else []
    fields = dict(zip(items[::2], items[1::2], strict=False))
    return parse_host(fields.get(b"ip"))
