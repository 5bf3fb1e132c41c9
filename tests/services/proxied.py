"""A cluster behind proxies, which directs its clients to them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import attrs
from services.cluster import Cluster
from services.proxy import Proxy
from services.standalone import Standalone


@attrs.frozen
class Proxies:
    """A proxy for each node of a cluster."""

    url: str
    by_node: dict[Standalone, Proxy]


@contextmanager
def proxied(cluster: Cluster) -> Iterator[Proxies]:
    """Put a proxy before each living node, and have the nodes announce the proxies' ports."""
    with ExitStack() as stack:
        nodes = [node for node in cluster.nodes if node.alive]
        by_node = {node: stack.enter_context(Proxy(node)) for node in nodes}
        hosts = ",".join(f"{proxy.host}:{proxy.port}" for proxy in by_node.values())
        stack.callback(_announce, cluster, dict.fromkeys(nodes, 0))
        _announce(cluster, {node: proxy.port for node, proxy in by_node.items()})
        yield Proxies(f"redis+cluster://{hosts}", by_node)


def _announce(cluster: Cluster, announced: dict[Standalone, int]) -> None:
    """Let nodes announce other ports (0: their own), and wait until all know."""
    for node, port in announced.items():
        if node.alive:
            node("CONFIG", "SET", "cluster-announce-port", port)
    wanted = {port or node.port for node, port in announced.items() if node.alive}
    cluster.until(lambda: all(_seen(node) == wanted for node in announced if node.alive))


def _seen(node: Standalone) -> set[int]:
    return {holder[1] for _, _, *holders in node("CLUSTER", "SLOTS") for holder in holders}
