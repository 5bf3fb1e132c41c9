"""Addresses that nodes and sentinels announce, and that are not reachable from here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from services.cluster import Cluster
from services.sentinel import Watched
from services.standalone import Redis

from fibonacci import BackendUnavailableError, ConfigurationError
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL
from fibonacci_redis.addresses import parse_host, parse_redirect, translate_address
from fibonacci_redis.protocol import ReplyError
from fibonacci_redis.settings import read_settings

from .fakes import bulk_array, fake_server

SPACES = [Space("t:nat:", "workflow", f"w{number}") for number in range(12)]
KEYS = [Address(space, "k") for space in SPACES]
NOWHERE = "127.0.0.9"
"""An address on which nothing listens."""


@contextmanager
def announcing(cluster: Cluster, **settings: str) -> Iterator[None]:
    """Make all nodes announce other addresses to their clients."""
    names = {name: name.replace("_", "-") for name in settings}
    before = {name: cluster.nodes[0]("CONFIG", "GET", name)[1].decode() for name in names.values()}

    def configure(values: dict[str, str]) -> None:
        for node in cluster.nodes:
            for name, value in values.items():
                node("CONFIG", "SET", name, value)

    configure({names[name]: value for name, value in settings.items()})
    announced = {value.encode() for value in settings.values()}
    try:
        if settings.keys() != {"cluster_preferred_endpoint_type"}:
            cluster.until(lambda: all(hosts(node) <= announced for node in cluster.nodes))
        yield
    finally:
        configure(before)
        cluster.until(lambda: all(hosts(node) == {b"127.0.0.1"} for node in cluster.nodes))


def hosts(node: Redis) -> set[Any]:
    return {holder[0] for _, _, *holders in node("CLUSTER", "SLOTS") for holder in holders}


def check_all_nodes(client: Any) -> None:
    """Write and read a batch that goes to all nodes."""
    client("write_many", [(key, b"1") for key in KEYS], None)
    assert client("read_many", KEYS) == [b"1"] * len(KEYS)
    for space in SPACES:
        client.clear(space)


def seed_url(cluster: Cluster) -> str:
    return f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}"


CALLS = [("read", KEYS[0]), ("compare_and_set", KEYS[0], b"0", b"x" * 9_000, None)]
"""Calls on the shared connection, and on a reserved one."""


def test_nat_map_reaches_the_nodes_of_a_cluster(cluster: Cluster, open_client: Any) -> None:
    """Nodes behind a NAT are reached by nat_map; without it the error names their addresses."""
    named = [f"{NOWHERE}:{node.port}" for node in cluster.nodes]
    pairs = [f"{NOWHERE}:{node.port}=127.0.0.1:{node.port}" for node in cluster.nodes]
    with announcing(cluster, cluster_announce_client_ipv4=NOWHERE):
        check_all_nodes(open_client(f"{seed_url(cluster)}?nat_map={','.join(pairs)}"))
        client = open_client(seed_url(cluster))
        for call in CALLS:
            with pytest.raises(BackendUnavailableError, match="nat_map") as raised:
                client(*call)
            assert sum(address in str(raised.value) for address in named) >= 3


@pytest.mark.parametrize("kind", ["unknown-endpoint", "hostname"])
def test_node_without_a_host_is_at_the_queried_host(
    kind: str, cluster: Cluster, open_client: Any
) -> None:
    """Nodes that announce no address, or lack the preferred hostname, are reached nevertheless."""
    with announcing(cluster, cluster_preferred_endpoint_type=kind):
        client = open_client(seed_url(cluster))
        check_all_nodes(client)
        check_redirects(client, cluster)
        check_all_nodes(client)


def check_redirects(client: Any, cluster: Cluster) -> None:
    """Send requests to the wrong node, which redirects them."""
    topology = client.store._topology
    wrong = topology._node_at("127.0.0.1", cluster.nodes[0].port)
    topology._slots = [wrong] * len(topology._slots)
    for key in KEYS:
        client("read", key)


def test_announced_hostnames_are_resolved(cluster: Cluster, open_client: Any) -> None:
    """Hostnames that nodes announce instead of addresses are resolved."""
    settings = {
        "cluster_announce_hostname": "localhost",
        "cluster_preferred_endpoint_type": "hostname",
    }
    with announcing(cluster, **settings):
        check_all_nodes(open_client(seed_url(cluster)))


def test_nat_map_reaches_the_primary(valkey_sentinel: Watched, open_client: Any) -> None:
    """A primary behind a NAT is reached by nat_map; without it the error names its address."""
    primary = valkey_sentinel.primary
    with fake_server(lambda _: bulk_array(NOWHERE, "6379")) as sentinel:
        url = f"redis+sentinel://127.0.0.1:{sentinel}/main"
        client = open_client(f"{url}?nat_map={NOWHERE}:6379={primary.host}:{primary.port}")
        assert client("read", KEYS[0]) is None
        client = open_client(url)
        for call in CALLS:
            with pytest.raises(BackendUnavailableError, match=rf"{NOWHERE}:6379.*nat_map"):
                client(*call)


@pytest.mark.parametrize(
    "reply",
    [
        b"*-1\r\n",
        bulk_array("", "6379"),
        bulk_array("10.0.0.1", "0"),
        bulk_array("?", "6379"),
        b":1\r\n",
    ],
)
def test_sentinel_without_a_primary_is_skipped(
    reply: bytes, valkey_sentinel: Watched, open_client: Any
) -> None:
    """A sentinel that names no primary is skipped; if none names one, the error says so."""
    with fake_server(lambda _: reply) as empty:
        other = valkey_sentinel.sentinels[0]
        hosts, service = f"127.0.0.1:{empty},{other.host}:{other.port}", valkey_sentinel.service
        assert open_client(f"redis+sentinel://{hosts}/{service}")("read", KEYS[0]) is None
        with pytest.raises(Exception, match=r"names no primary|knows no service"):
            open_client(f"redis+sentinel://127.0.0.1:{empty}/{service}")("read", KEYS[0])


def test_unknown_service_does_not_hide_an_unreachable_sentinel(open_client: Any) -> None:
    """The error is transient if one sentinel knows no service and another is unreachable."""
    with fake_server(lambda _: b"*-1\r\n") as empty:
        for hosts in (f"127.0.0.1:1,127.0.0.1:{empty}", f"127.0.0.1:{empty},127.0.0.1:1"):
            with pytest.raises(BackendUnavailableError):
                open_client(f"redis+sentinel://{hosts}/main")("read", KEYS[0])


@pytest.mark.parametrize(
    ("message", "target"),
    [
        ("MOVED 3999 10.0.0.1:6381", (3999, "10.0.0.1", 6381)),
        ("ASK 3999 db.example:6381", (3999, "db.example", 6381)),
        ("MOVED 3999 :6381", (3999, "", 6381)),
        ("MOVED 3999 ?:6381", (3999, "", 6381)),
        ("MOVED 3999 10.0.0.1:6381@16381", (3999, "10.0.0.1", 6381)),
        ("MOVED 3999 10.0.0.1:6381@16381,db.example", (3999, "10.0.0.1", 6381)),
        ("MOVED 3999 2001:db8::1:6381", (3999, "2001:db8::1", 6381)),
        ("MOVED 3999 [2001:db8::1]:6381", (3999, "2001:db8::1", 6381)),
        ("MOVED 3999", None),
        ("ERR unknown command", None),
    ],
)
def test_parse_redirect(message: str, target: Any) -> None:
    """parse_redirect() accepts each form in which MOVED and ASK name a node."""
    assert parse_redirect(ReplyError(message)) == target


def test_redirect_without_an_address_is_transient(open_client: Any) -> None:
    """A MOVED reply without an address is a transient error."""
    node_port: list[int] = []

    def get_reply(data: bytes) -> bytes:
        row = b"*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:%d\r\n" % node_port[0]
        return b"*1\r\n" + row if b"SLOTS" in data else b"-MOVED 1\r\n"

    with fake_server(get_reply) as port:
        node_port.append(port)
        with pytest.raises(BackendUnavailableError, match="moved these keys"):
            open_client(f"redis+cluster://127.0.0.1:{port}")("read", KEYS[0])


@pytest.mark.parametrize("host", [None, b"", b"?", ""])
def test_parse_host_without_a_host(host: Any) -> None:
    """parse_host() returns an empty string for each form of no host."""
    assert parse_host(host) == ""


def parse(text: str) -> Any:
    url = StoreURL.parse(f"redis+cluster://a?nat_map={text}")
    return read_settings(StoreSettings(url=url)).nat_map


def test_translate_address_ignores_spelling() -> None:
    """translate_address() finds an address in any spelling, and returns others unchanged."""
    known = parse("10.0.0.1:6379=127.0.0.1:17001,[2001:DB8::0:1]:6379=[::1]:1,Db.Example:1=a:2")
    assert translate_address(("10.0.0.1", 6379), known) == ("127.0.0.1", 17001)
    assert translate_address(("2001:db8::1", 6379), known) == ("::1", 1)
    assert translate_address(("db.example", 1), known) == ("a", 2)
    assert translate_address(("10.0.0.1", 6380), known) == ("10.0.0.1", 6380)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:1", "a:1=b", "a:1=b:2=c:3", "a:1=b:0", "a:1=b:65536", "a:1=b:2,", "::1:6379=b:2"],
)
def test_invalid_nat_map_is_refused(text: str) -> None:
    """An invalid nat_map is refused, and the error shows the format."""
    with pytest.raises(ConfigurationError, match=r"'nat_map' .*10\.0\.0\.1:6379=127"):
        parse(text)


def test_ambiguous_nat_map_is_refused() -> None:
    """A nat_map with an address twice, of another type, or for a single server is refused."""
    with pytest.raises(ConfigurationError, match="twice"):
        parse("a:1=b:1,A:1=c:1")
    for url, options in (
        ("redis+cluster://a", {"nat_map": {"a:1": "b:1"}}),
        ("redis://a", {"nat_map": "a:1=b:1"}),
        ("unix:///run/redis.sock", {"nat_map": "a:1=b:1"}),
    ):
        with pytest.raises(ConfigurationError, match="nat_map"):
            read_settings(StoreSettings(url=StoreURL.parse(url), options=options))
