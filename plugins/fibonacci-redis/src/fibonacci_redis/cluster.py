"""Redis Cluster: which node has a slot, and what to do when it moves.

See https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import attrs

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, Waiter, share_deadline
from fibonacci_redis.addresses import NatMap, Where, reached_at, shown, told_host, told_target
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.node import Node, Session
from fibonacci_redis.routes import Routes, unreached
from fibonacci_redis.wire import ReplyError, Request, asking, first_error, pack

SLOTS: Final = 16_384
REDIRECTS: Final = 5
"""How often one request follows a slot that moves."""

ASK_SLOTS: Final = Request(0, pack((b"CLUSTER", b"SLOTS")), 1, writes=False)


class Cluster(Routes):
    """The nodes of a cluster, found from a few of them."""

    clustered: ClassVar[bool] = True

    def __init__(
        self,
        seeds: Sequence[Endpoint],
        nat_map: NatMap,
        make: Callable[[Endpoint], Node],
        waiter: type[Waiter],
    ) -> None:
        self._seeds = seeds
        self._nat_map = nat_map
        self._named: list[Where] = []
        """The nodes' addresses, as the cluster names them."""
        self._make = make
        self._nodes: dict[Where, Node] = {}
        self._order: list[Where] = [(seed.host, seed.port) for seed in seeds]
        """Whom to ask for the slots, in turn."""
        self._slots: list[Node | None] = []
        """Which node has which slot; empty until it is asked for, and after a fault."""
        self._discovery: SingleFlight[list[Node | None]] = SingleFlight(waiter)
        self._closed = False

    async def node(self, slot: int, deadline: float) -> Node:
        slots = self._slots or await self._discovered(deadline)
        node = slots[slot]
        if node is None:
            self._slots = []
            raise BackendUnavailableError(f"no node of the cluster serves hash slot {slot} now")
        return node

    async def exchange(
        self, node: Node, request: Request, deadline: float, session: Session | None = None
    ) -> list[Any]:
        slots = self._slots
        try:
            return await (session or node).exchange(request, deadline)
        except (BackendUnavailableError, OutcomeUnknownError) as fault:
            self._doubt(node, slots)
            raise self._told(fault, node, slots) from fault.__cause__

    async def opened(self, node: Node, deadline: float) -> Session:
        slots = self._slots
        try:
            return await node.session(deadline)
        except BackendUnavailableError as fault:
            self._doubt(node, slots)
            raise self._told(fault, node, slots) from fault.__cause__

    def _doubt(self, node: Node, slots: list[Node | None]) -> None:
        """Ask who has the slots anew; unless that was done since the node was asked."""
        if self._slots is slots:
            self._slots = []  # a replica may take over
        self._ask_last(node.endpoint)

    def _told(self, fault: StorageError, node: Node, slots: list[Node | None]) -> StorageError:
        if any(one.reached for one in {node, *filter(None, slots)}):
            return fault
        return unreached(
            fault,
            f"The cluster names its nodes {', '.join(shown(*where) for where in self._named)}, "
            f"which can't be reached from here: say with the option nat_map how they are",
        )

    async def refuse(
        self, error: ReplyError, request: Request, node: Node, deadline: float
    ) -> list[Any]:
        """Follow MOVED and ASK: they say that nothing was applied, and who to ask."""
        for _ in range(REDIRECTS):
            target = told_target(error)
            if target is None:
                break
            _, host, port = target
            if error.code == "MOVED":
                self._drop_slots(error, node)
                node = self._announced(host or node.endpoint.host, port)
                replies = await self.exchange(node, request, deadline)
            else:
                node = self._announced(host or node.endpoint.host, port)
                replies = await self.exchange(node, asking(request), deadline)
                replies = replies[1:] if len(replies) == request.replies + 1 else replies[1::2]
            again = first_error(replies)
            if again is None:
                return replies
            error = again
        raise self.refusal(error, node)

    def refusal(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        if error.code == "MOVED":
            self._drop_slots(error, node)
        elif error.code == "CLUSTERDOWN":
            self._slots = []
        return super().refusal(error, node)

    def close(self) -> None:
        self._closed = True
        nodes, self._nodes, self._slots = self._nodes, {}, []
        for node in nodes.values():
            node.close()

    def _drop_slots(self, moved: ReplyError, node: Node) -> None:
        """Ask anew who has the slots, as one has moved; unless that was done since."""
        slot, *_ = told_target(moved) or (0,)
        if self._slots and self._slots[slot % SLOTS] is node:
            self._slots = []
            # Who named it is asked last: its word may be an old one.
            first, *others = self._order
            self._order = [*others, first]

    def _announced(self, host: str, port: int) -> Node:
        """The node that is announced with this address."""
        return self._at(*reached_at((host, port), self._nat_map))

    def _at(self, host: str, port: int) -> Node:
        node = self._nodes.get((host, port))
        if node is None:
            endpoint = attrs.evolve(self._seeds[0], host=host, port=port)
            node = self._nodes.setdefault((host, port), self._make(endpoint))
        if self._closed:
            node.retire()
        return node

    def _ask_last(self, endpoint: Endpoint) -> None:
        # Never in place: another thread may be asking them.
        last = endpoint.host, endpoint.port
        self._order = sorted(self._order, key=lambda where: where == last)

    async def _discovered(self, deadline: float) -> list[Node | None]:
        """Which node has which slot, asked for once for all who wait."""
        try:
            return await self._discovery.do(partial(self._discover, deadline), deadline=deadline)
        except DeadlineExceeded:
            pass
        raise BackendUnavailableError("no node of the cluster named the others: out of time")

    async def _discover(self, deadline: float) -> list[Node | None]:
        """Ask the nodes in turn, each with its share of the time, until one answers."""
        candidates = list(self._order)
        fault: StorageError | None = None
        for turn, (host, port) in enumerate(candidates):
            share = share_deadline(deadline, len(candidates) - turn)
            node = self._at(host, port)
            try:
                [reply] = await node.exchange(ASK_SLOTS, share)
                if isinstance(reply, ReplyError):
                    raise self.refusal(reply, node)
            except StorageError as told:
                fault = told
                continue
            slots = self._read(reply, node)
            self._forget_others(node, slots)
            self._slots = [] if self._closed else slots
            return slots
        assert fault is not None
        raise fault

    def _forget_others(self, answered: Node, slots: list[Node | None]) -> None:
        """Keep the nodes that there are, and ask next who answered, then the seeds, then them."""
        # In their order, for what was asked first; a slot's node stands in many places.
        kept = dict.fromkeys([answered, *filter(None, slots)])
        seeds = [(seed.host, seed.port) for seed in self._seeds]
        found = [(node.endpoint.host, node.endpoint.port) for node in kept]
        self._order = list(dict.fromkeys([found[0], *seeds, *found]))
        for where, node in list(self._nodes.items()):
            if node not in kept:
                self._nodes.pop(where, None)
                node.retire()

    def _read(self, reply: list[Any], asked: Node) -> list[Node | None]:
        slots: list[Node | None] = [None] * SLOTS
        named: dict[Where, Node] = {}
        for first, last, (host, port, *more), *_ in reply:
            # No host is the one that was asked: a node may not know by which name it is known.
            where = (told_host(host) or _address(host, more) or asked.endpoint.host, port)
            node = named[where] = self._announced(*where)
            slots[first : last + 1] = [node] * (last + 1 - first)
        self._named = list(named)
        return slots


def _address(host: Any, more: list[Any]) -> str:
    """The address of a node that has no hostname where nodes are to be named by theirs."""
    details = more[1] if host == b"?" and len(more) > 1 and type(more[1]) is list else []
    told = dict(zip(details[::2], details[1::2], strict=False))
    return told_host(told.get(b"ip"))
