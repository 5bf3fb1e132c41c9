"""Redis Cluster: which node has a slot, and what to do when it moves.

See https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, ClassVar, Final

import attrs

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.node import Asked, Node
from fibonacci_redis.routes import Routes
from fibonacci_redis.wire import ReplyError, Request, first_error, pack

SLOTS: Final = 16_384
REDIRECTS: Final = 5
"""How often one request follows a slot that moves."""

ASKING: Final = pack((b"ASKING",))
WHERE: Final = Request(0, pack((b"CLUSTER", b"SLOTS")), 1, writes=False)


class Cluster(Routes):
    """The nodes of a cluster, found from a few of them."""

    clustered: ClassVar[bool] = True

    def __init__(self, seeds: Sequence[Endpoint], make: Callable[[Endpoint], Node]) -> None:
        self._seeds = seeds
        self._make = make
        self._nodes: dict[tuple[str, int], Node] = {}
        self._slots: list[Node | None] = []
        """Which node has which slot; empty until it is asked for, and after a fault."""

    async def node(self, slot: int, deadline: float) -> Node:
        slots = self._slots or await self._discover(deadline)
        node = slots[slot]
        if node is None:
            self._slots = []
            raise BackendUnavailableError(f"no node of the cluster serves hash slot {slot} now")
        return node

    async def exchange(self, to: Asked, request: Request, deadline: float) -> list[Any]:
        try:
            return await to.exchange(request, deadline)
        except (BackendUnavailableError, OutcomeUnknownError):
            self._slots = []  # a replica may take over
            raise

    async def refuse(
        self, error: ReplyError, request: Request, node: Node, deadline: float
    ) -> list[Any]:
        """Follow MOVED and ASK: they say that nothing was applied, and who to ask."""
        for _ in range(REDIRECTS):
            if error.code not in ("MOVED", "ASK"):
                break
            node = self._redirected(error, node)
            if error.code == "MOVED":
                self._slots = []  # who has the others may have changed, too
                replies = await self.exchange(node, request, deadline)
            else:
                asking = request._replace(data=ASKING + request.data, replies=request.replies + 1)
                replies = (await self.exchange(node, asking, deadline))[1:]
            again = first_error(replies)
            if again is None:
                return replies
            error = again
        raise self.refusal(error, node)

    def refusal(self, error: ReplyError, node: Node) -> StorageError | ReplyError:
        if error.code in ("MOVED", "CLUSTERDOWN"):
            self._slots = []
        return super().refusal(error, node)

    def close(self) -> None:
        nodes, self._nodes, self._slots = self._nodes, {}, []
        for node in nodes.values():
            node.close()

    def _redirected(self, error: ReplyError, node: Node) -> Node:
        """The node that ``MOVED slot host:port`` names; an empty host is the one that said so."""
        host, _, port = str(error).split()[2].rpartition(":")
        return self._at(host or node.endpoint.host, int(port))

    def _at(self, host: str, port: int) -> Node:
        node = self._nodes.get((host, port))
        if node is None:
            endpoint = attrs.evolve(self._seeds[0], host=host, port=port)
            node = self._nodes.setdefault((host, port), self._make(endpoint))
        return node

    async def _discover(self, deadline: float) -> list[Node | None]:
        """Ask the nodes in turn, each with its share of the time, until one answers."""
        known = [*self._nodes, *((seed.host, seed.port) for seed in self._seeds)]
        candidates = list(dict.fromkeys(known))
        fault: StorageError | None = None
        for turn, (host, port) in enumerate(candidates):
            now = monotonic()
            share = now + (deadline - now) / (len(candidates) - turn)
            node = self._at(host, port)
            try:
                [reply] = await node.exchange(WHERE, share)
                if isinstance(reply, ReplyError):
                    raise self.refusal(reply, node)
            except StorageError as told:
                fault = told
                continue
            self._slots = self._read(reply, node)
            return self._slots
        assert fault is not None
        raise fault

    def _read(self, reply: list[Any], asked: Node) -> list[Node | None]:
        slots: list[Node | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in reply:
            name = (host or b"").decode() or asked.endpoint.host
            slots[first : last + 1] = [self._at(name, port)] * (last + 1 - first)
        return slots
