"""Evicted and deleted indexes: their records are still listed and cleared."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from services import redis, valkey
from services.cluster import Cluster
from services.proxy import Proxy
from services.standalone import Redis

import fibonacci_redis.index
from fibonacci import BackendUnavailableError, StorageError
from fibonacci.plugin import Address, Space
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.index import MAX_SMALL_KEYSPACE, UNKNOWN_KEYSPACE, parse_keyspace
from fibonacci_redis.layout import space_keys
from fibonacci_redis.protocol import ReplyError

SPACE = Space("t:gone:*[x]?\\^-:", "user", "ada")
NAMES = [f"k{number:02}" for number in range(20)]
RECORDS = [(Address(SPACE, name), b"1") for name in NAMES]
NEWER = Address(SPACE, "newer")
AT = Endpoint(host="a", port=1)


def delete_index(server: Any, space: Space = SPACE) -> None:
    assert server("DEL", space_keys(space).index.decode()) == 1


def readable_keys(client: Any, space: Space = SPACE) -> list[str]:
    """Return the keys that can still be read."""
    return [name for name in [*NAMES, "newer"] if client("exists", Address(space, name))]


@pytest.mark.parametrize("newer", [False, True])
def test_records_of_a_deleted_index_are_cleared(
    newer: bool, either_server: Redis, open_client: Any
) -> None:
    """Records whose index was deleted are cleared, even if a newer record created another index."""
    client = open_client(either_server.url)
    client("write_many", RECORDS, None)
    delete_index(either_server)
    assert client.keys(SPACE) == NAMES
    assert client.keys(SPACE, prefix="k1") == NAMES[10:]
    if newer:
        client("write", NEWER, b"1", None)
    client.clear(SPACE)
    assert readable_keys(client) == []
    assert client.keys(SPACE) == []


def test_clear_of_many_steps_leaves_no_record(valkey_server: Redis, open_client: Any) -> None:
    """A clear that takes several steps removes all records, in the index or not."""
    client = open_client(valkey_server.url)
    many = [(Address(SPACE, f"n{number}"), b"1") for number in range(2_100)]
    for lost in (False, True):
        client("write_many", many, None)
        if lost:
            delete_index(valkey_server)
            assert len(client.keys(SPACE)) == 2_100
        client.clear(SPACE)
        assert not any(client("read_many", [address for address, _ in many]))


@pytest.fixture(scope="module", params=[valkey, redis])
def full(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """A server with 4 MB of memory, which evicts any key and has evicted some."""
    with request.param.standalone(maxmemory="4mb", maxmemory_policy="allkeys-lru") as own:
        for number in range(60):
            own("SET", f"fill{number}", "x" * 100_000)
        own("FLUSHALL", "SYNC")
        yield own


def test_evicting_server_lists_what_it_retained(
    full: Redis, open_client: Any, caplog: Any, monkeypatch: Any
) -> None:
    """All records that an evicting server retained are listed, and none is left after a clear."""
    spaces = [Space("t:full:", "user", f"u{number}") for number in range(40)]
    monkeypatch.setattr(fibonacci_redis.index, "_warned_servers", set())
    client = open_client(full.url)
    for round_number in range(4):
        for space in spaces:
            records = [(Address(space, f"k{round_number}{n:02}"), b"x" * 2_000) for n in range(25)]
            client("write_many", records, None)
    full("CONFIG", "SET", "maxmemory", "16mb")  # from here on nothing is evicted
    remaining = list(full("KEYS", "*:k*"))
    assert 0 < len(remaining) < 4_000
    with caplog.at_level(logging.WARNING, "fibonacci.redis"):
        listed = {space: client.keys(space, limit=20) for space in spaces}
    assert sum(map(len, listed.values())) == len(remaining)
    assert all(keys == sorted(keys) for keys in listed.values())
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "allkeys-lru" in messages[0]
    assert str(full.port) in messages[0]
    for space in spaces:
        client.clear(space)
    assert full("DBSIZE") == 0
    full("CONFIG", "SET", "maxmemory", "4mb")


def test_former_eviction_is_noticed(full: Redis, open_client: Any) -> None:
    """A server with the policy noeviction is not trusted if it has evicted keys before."""
    client = open_client(full.url)
    client("write_many", RECORDS, None)
    delete_index(full)
    client("write", NEWER, b"1", None)
    full("CONFIG", "SET", "maxmemory-policy", "noeviction")
    try:
        assert client.keys(SPACE) == [*NAMES, "newer"]
    finally:
        full("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    client.clear(SPACE)
    assert readable_keys(client) == []


@pytest.fixture
def user(either_server: Redis) -> Iterator[Any]:
    """A function that returns the URL of a user with these rights besides all safe ones."""

    def user(*rules: str) -> str:
        either_server("ACL", "SETUSER", "u", "on", ">pw", "~*", "+@all", "-@dangerous", *rules)
        return either_server.url.replace("//", "//u:pw@")

    yield user
    either_server("ACL", "DELUSER", "u")


def test_forbidden_info_means_a_scan(either_server: Redis, user: Any, open_client: Any) -> None:
    """All keys of the server are scanned if INFO is forbidden."""
    client = open_client(user())
    client("write_many", RECORDS, None)
    delete_index(either_server)
    client("write", NEWER, b"1", None)
    assert client.keys(SPACE, limit=7) == [*NAMES, "newer"]
    client.clear(SPACE)
    assert readable_keys(client) == []


def test_forbidden_scan_is_an_error(user: Any, open_client: Any) -> None:
    """A clear raises if both INFO and SCAN are forbidden."""
    client = open_client(user("-scan"))
    client("write_many", RECORDS, None)
    with pytest.raises(StorageError, match="see the ACL rules"):
        client.clear(SPACE)


def test_large_keyspace_is_not_scanned(
    valkey_proxy: Proxy, valkey_server: Redis, open_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large server that evicted nothing is scanned only if the index is missing."""
    monkeypatch.setattr(fibonacci_redis.index, "MAX_SMALL_KEYSPACE", -1)
    client = open_client(valkey_proxy.url)
    client("write_many", RECORDS, None)
    with valkey_proxy.record() as traffic:
        assert client.keys(SPACE) == NAMES
        client.clear(SPACE)
        assert client.keys(SPACE) == []
    assert traffic.requests.count(b"SCAN") == 0
    client("write_many", RECORDS, None)
    delete_index(valkey_server)
    client.clear(SPACE)
    assert readable_keys(client) == []


def test_moving_slot_is_not_scanned(cluster: Cluster, open_client: Any) -> None:
    """The node that holds the slot is scanned, but not while the slot moves."""
    index, slot = space_keys(SPACE).index.decode(), space_keys(SPACE).slot
    source = cluster.primary_of(index)
    target = next(node for node in cluster.nodes if node is not source and b"master" in role(node))
    client = open_client(cluster.url)
    client("write_many", RECORDS, None)
    delete_index(source)
    target("CLUSTER", "SETSLOT", slot, "IMPORTING", source("CLUSTER", "MYID").decode())
    source("CLUSTER", "SETSLOT", slot, "MIGRATING", target("CLUSTER", "MYID").decode())
    try:
        with pytest.raises(BackendUnavailableError, match="is moving these keys"):
            client.clear(SPACE)
    finally:
        for node in (source, target):
            node("CLUSTER", "SETSLOT", slot, "STABLE")
    client.clear(SPACE)
    assert readable_keys(client) == []


def role(node: Redis) -> bytes:
    return bytes(node("ROLE")[0])


@pytest.mark.parametrize(
    ("info", "keeps", "small"),
    [
        ("maxmemory:0\nmaxmemory_policy:allkeys-lru\nevicted_keys:0\n", True, True),
        ("maxmemory:9\nmaxmemory_policy:noeviction\nevicted_keys:0\n", True, True),
        ("maxmemory:9\nmaxmemory_policy:volatile-lru\nevicted_keys:0\n", True, True),
        ("maxmemory:0\nmaxmemory_policy:noeviction\nevicted_keys:1\n", False, True),
        ("maxmemory_policy:noeviction\n", False, True),
        ("evicted_keys:0\n", True, True),
        ("", False, True),
        (f"db0:keys={MAX_SMALL_KEYSPACE},expires=0\ndb1:keys=1,expires=0\n", False, False),
        ("db0:odd\n", False, False),
    ],
)
def test_parse_keyspace(info: str, keeps: bool, small: bool) -> None:
    """parse_keyspace() reports that a server keeps all keys only if INFO says so."""
    keyspace = parse_keyspace(info.encode(), AT)
    assert (keyspace.keeps_all, keyspace.is_small) == (keeps, small)


def test_parse_keyspace_of_an_error() -> None:
    """parse_keyspace() reports an unknown keyspace for an error reply."""
    assert parse_keyspace(ReplyError("NOPERM"), AT) == UNKNOWN_KEYSPACE
