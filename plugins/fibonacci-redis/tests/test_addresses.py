"""Addresses that nodes and sentinels tell of each other, and that lead nowhere from here."""

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

from .fakes import answering, words

SPACES = [Space("t:nat:", "workflow", f"w{number}") for number in range(12)]
KEYS = [Address(space, "k") for space in SPACES]
NOWHERE = "127.0.0.9"
"""Where nobody listens."""


@contextmanager
def announcing(cluster: Cluster, **settings: str) -> Iterator[None]:
    """Have all nodes tell their clients other addresses."""
    names = {name: name.replace("_", "-") for name in settings}
    before = {one: cluster.nodes[0]("CONFIG", "GET", one)[1].decode() for one in names.values()}

    def tell(values: dict[str, str]) -> None:
        for node in cluster.nodes:
            for name, value in values.items():
                node("CONFIG", "SET", name, value)

    tell({names[name]: value for name, value in settings.items()})
    heard = {value.encode() for value in settings.values()}
    try:
        if settings.keys() != {"cluster_preferred_endpoint_type"}:
            cluster.until(lambda: all(hosts(node) <= heard for node in cluster.nodes))
        yield
    finally:
        tell(before)
        cluster.until(lambda: all(hosts(node) == {b"127.0.0.1"} for node in cluster.nodes))


def hosts(node: Redis) -> set[Any]:
    return {holder[0] for _, _, *holders in node("CLUSTER", "SLOTS") for holder in holders}


def works(client: Any) -> None:
    """A batch that goes to all nodes is written and read."""
    client("write_many", [(key, b"1") for key in KEYS], None)
    assert client("read_many", KEYS) == [b"1"] * len(KEYS)
    for space in SPACES:
        client.clear(space)


def seed_of(cluster: Cluster) -> str:
    return f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}"


CALLS = [("read", KEYS[0]), ("compare_and_set", KEYS[0], b"0", b"x" * 9_000, None)]
"""Two ways to a connection: the common one, and one of the caller's own."""


def test_nodes_behind_a_nat(cluster: Cluster, open_client: Any) -> None:
    """Nodes that name themselves by addresses of their own network are found by a map, or told."""
    named = [f"{NOWHERE}:{node.port}" for node in cluster.nodes]
    pairs = [f"{NOWHERE}:{node.port}=127.0.0.1:{node.port}" for node in cluster.nodes]
    with announcing(cluster, cluster_announce_client_ipv4=NOWHERE):
        works(open_client(f"{seed_of(cluster)}?nat_map={','.join(pairs)}"))
        client = open_client(seed_of(cluster))
        for call in CALLS:
            with pytest.raises(BackendUnavailableError, match="nat_map") as raised:
                client(*call)
            assert sum(address in str(raised.value) for address in named) >= 3


@pytest.mark.parametrize("kind", ["unknown-endpoint", "hostname"])
def test_nodes_that_name_no_host(kind: str, cluster: Cluster, open_client: Any) -> None:
    """Nodes that tell no address, or no hostname where that is asked for, are found even so."""
    with announcing(cluster, cluster_preferred_endpoint_type=kind):
        client = open_client(seed_of(cluster))
        works(client)
        moved(client, cluster)
        works(client)


def moved(client: Any, cluster: Cluster) -> None:
    """Have the store ask the wrong node: it is told where to go."""
    topology = client.store._topology
    wrong = topology._node_at("127.0.0.1", cluster.nodes[0].port)
    topology._slots = [wrong] * len(topology._slots)
    for key in KEYS:
        client("read", key)


def test_nodes_with_hostnames(cluster: Cluster, open_client: Any) -> None:
    """Hostnames instead of addresses are looked up."""
    settings = {
        "cluster_announce_hostname": "localhost",
        "cluster_preferred_endpoint_type": "hostname",
    }
    with announcing(cluster, **settings):
        works(open_client(seed_of(cluster)))


def test_primary_behind_a_nat(valkey_sentinel: Watched, open_client: Any) -> None:
    """A primary that the sentinels name by another address is found by the map, or told of."""
    primary = valkey_sentinel.primary
    with answering(lambda _: words(NOWHERE, "6379")) as sentinel:
        url = f"redis+sentinel://127.0.0.1:{sentinel}/main"
        client = open_client(f"{url}?nat_map={NOWHERE}:6379={primary.host}:{primary.port}")
        assert client("read", KEYS[0]) is None
        client = open_client(url)
        for call in CALLS:
            with pytest.raises(BackendUnavailableError, match=rf"{NOWHERE}:6379.*nat_map"):
                client(*call)


@pytest.mark.parametrize(
    "answer", [b"*-1\r\n", words("", "6379"), words("10.0.0.1", "0"), words("?", "6379"), b":1\r\n"]
)
def test_sentinel_that_names_nobody(
    answer: bytes, valkey_sentinel: Watched, open_client: Any
) -> None:
    """A sentinel without an answer is passed over; where none has one, the error says so."""
    with answering(lambda _: answer) as empty:
        other = valkey_sentinel.sentinels[0]
        hosts, service = f"127.0.0.1:{empty},{other.host}:{other.port}", valkey_sentinel.service
        assert open_client(f"redis+sentinel://{hosts}/{service}")("read", KEYS[0]) is None
        with pytest.raises(Exception, match=r"names no primary|knows no service"):
            open_client(f"redis+sentinel://127.0.0.1:{empty}/{service}")("read", KEYS[0])


def test_unknown_here_and_silent_there(open_client: Any) -> None:
    """A sentinel that knows no service does not mode for one that can't be reached."""
    with answering(lambda _: b"*-1\r\n") as empty:
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
def test_targets(message: str, target: Any) -> None:
    """MOVED and ASK are understood in each of the ways in which they name a node."""
    assert parse_redirect(ReplyError(message)) == target


def test_moved_to_nowhere(open_client: Any) -> None:
    """A node that says MOVED and not where to is a fault that may pass."""
    where: list[int] = []

    def answer(data: bytes) -> bytes:
        row = b"*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:%d\r\n" % where[0]
        return b"*1\r\n" + row if b"SLOTS" in data else b"-MOVED 1\r\n"

    with answering(answer) as port:
        where.append(port)
        with pytest.raises(BackendUnavailableError, match="moved these keys"):
            open_client(f"redis+cluster://127.0.0.1:{port}")("read", KEYS[0])


@pytest.mark.parametrize("host", [None, b"", b"?", ""])
def test_no_host(host: Any) -> None:
    """There are several ways to name no host."""
    assert parse_host(host) == ""


def mapped(text: str) -> Any:
    url = StoreURL.parse(f"redis+cluster://a?nat_map={text}")
    return read_settings(StoreSettings(url=url)).nat_map


def test_map_of_addresses() -> None:
    """The map is found by an address however it is spelled; others stay as they are."""
    known = mapped("10.0.0.1:6379=127.0.0.1:17001,[2001:DB8::0:1]:6379=[::1]:1,Db.Example:1=a:2")
    assert translate_address(("10.0.0.1", 6379), known) == ("127.0.0.1", 17001)
    assert translate_address(("2001:db8::1", 6379), known) == ("::1", 1)
    assert translate_address(("db.example", 1), known) == ("a", 2)
    assert translate_address(("10.0.0.1", 6380), known) == ("10.0.0.1", 6380)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:1", "a:1=b", "a:1=b:2=c:3", "a:1=b:0", "a:1=b:65536", "a:1=b:2,", "::1:6379=b:2"],
)
def test_map_that_is_none(text: str) -> None:
    """A map that can't be meant is refused, and the error shows how to write one."""
    with pytest.raises(ConfigurationError, match=r"'nat_map' .*10\.0\.0\.1:6379=127"):
        mapped(text)


def test_map_that_says_two_things() -> None:
    """So is one with an address twice; one that is no text; and one beside a plain URL."""
    with pytest.raises(ConfigurationError, match="twice"):
        mapped("a:1=b:1,A:1=c:1")
    for url, options in (
        ("redis+cluster://a", {"nat_map": {"a:1": "b:1"}}),
        ("redis://a", {"nat_map": "a:1=b:1"}),
        ("unix:///run/redis.sock", {"nat_map": "a:1=b:1"}),
    ):
        with pytest.raises(ConfigurationError, match="nat_map"):
            read_settings(StoreSettings(url=StoreURL.parse(url), options=options))
