"""A Redis Cluster of three primaries, with a replica each.

Who is who is written to each node's `nodes.conf` beforehand, as it would take them seconds to meet.
"""

from services import ports
from services.fleet import Fleet
from services.standalone import Settings, Standalone, data, process

_PRIMARIES = 3
_SLOTS = ["0-5460", "5461-10922", "10923-16383"]
_BUS = 10_000


class Cluster(Fleet):
    """`cluster.nodes` can be killed, paused and started again one by one."""

    def __init__(self, nodes: list[Standalone]) -> None:
        hosts = ",".join(f"{node.host}:{node.port}" for node in nodes)
        super().__init__(f"redis+cluster://{hosts}", nodes)
        self.nodes = nodes

    def is_ready(self) -> bool:
        """Return whether every living node serves, sees all others, and misses no data."""
        alive = [node for node in self.nodes if node.alive]
        return all(node.is_ready() and _settled(node, len(alive)) for node in alive)

    def primary_of(self, key: str) -> Standalone:
        """Return the living node that holds `key`."""
        return self._holders(key)[0]

    def replica_of(self, key: str) -> Standalone:
        """Return the replica that takes over when `primary_of(key)` dies."""
        return self._holders(key)[1]

    def _holders(self, key: str) -> list[Standalone]:
        node = next(node for node in self.nodes if node.alive)
        slot = node("CLUSTER", "KEYSLOT", key)
        for first, last, *holders in node("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return [self._named(holder[2]) for holder in holders]
        raise LookupError(f"nobody serves slot {slot}")

    def _named(self, name: bytes) -> Standalone:
        # Not by its port: it may announce that of a proxy.
        return next(node for node in self.nodes if _name(node.port) == name.decode())


def launched(binary: str, settings: Settings) -> Cluster:
    """Start six nodes, and wait until they serve all slots and every replica follows."""
    claimed = [ports.claim(with_bus=True) for _ in range(2 * _PRIMARIES)]
    return Cluster([_node(binary, settings, claimed, port) for port in claimed]).start()


def _node(binary: str, settings: Settings, claimed: list[int], port: int) -> Standalone:
    clustered = {
        "port": port,
        "cluster_enabled": "yes",
        "cluster_config_file": "nodes.conf",
        "cluster_node_timeout": 1000,
    }
    node = process(binary, data(clustered | dict(settings)))
    lines = [_line(claimed, index, myself=claimed[index] == port) for index in range(len(claimed))]
    end = f"vars currentEpoch {_PRIMARIES} lastVoteEpoch 0"
    (node.folder / "nodes.conf").write_text("\n".join([*lines, end, ""]))
    return Standalone(node, port)


def _line(claimed: list[int], index: int, *, myself: bool) -> str:
    """Return the line of `nodes.conf` about one node: the first three are primaries."""
    port, primary = claimed[index], index < _PRIMARIES
    of = "-" if primary else _name(claimed[index - _PRIMARIES])
    epoch = index % _PRIMARIES + 1
    flags = ("myself," if myself else "") + ("master" if primary else "slave")
    slots = f" {_SLOTS[index]}" if primary else ""
    where = f"{ports.LOOPBACK}:{port}@{port + _BUS}"
    return f"{_name(port)} {where} {flags} {of} 0 0 {epoch} connected{slots}"


def _name(port: int) -> str:
    return f"{port:040x}"


def _settled(node: Standalone, alive: int) -> bool:
    state = node("CLUSTER", "INFO")
    replication = node.info("replication")
    follows = replication["role"] == "master" or replication["master_link_status"] == "up"
    listed = [holder for _, _, *holders in node("CLUSTER", "SLOTS") for holder in holders]
    return b"cluster_state:ok" in state and follows and len(listed) == alive
