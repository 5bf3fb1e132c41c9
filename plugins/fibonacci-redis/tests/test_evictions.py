"""Indexes that are gone: what they listed is found all the same, to be listed and to be cleared."""

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


def lose_index(server: Any, space: Space = SPACE) -> None:
    assert server("DEL", space_keys(space).index.decode()) == 1


def found(client: Any, space: Space = SPACE) -> list[str]:
    """What can still be read."""
    return [name for name in [*NAMES, "newer"] if client("exists", Address(space, name))]


@pytest.mark.parametrize("newer", [False, True])
def test_index_that_somebody_deleted(newer: bool, either_server: Redis, open_client: Any) -> None:
    """Records whose index was deleted are cleared, also where a newer one made another index."""
    client = open_client(either_server.url)
    client("write_many", RECORDS, None)
    lose_index(either_server)
    assert client.keys(SPACE) == NAMES
    assert client.keys(SPACE, prefix="k1") == NAMES[10:]
    if newer:
        client("write", NEWER, b"1", None)
    client.clear(SPACE)
    assert found(client) == []
    assert client.keys(SPACE) == []


def test_more_than_a_step(valkey_server: Redis, open_client: Any) -> None:
    """A clear of more records than one step removes leaves none, listed or not."""
    client = open_client(valkey_server.url)
    many = [(Address(SPACE, f"n{number}"), b"1") for number in range(2_100)]
    for lost in (False, True):
        client("write_many", many, None)
        if lost:
            lose_index(valkey_server)
            assert len(client.keys(SPACE)) == 2_100
        client.clear(SPACE)
        assert not any(client("read_many", [address for address, _ in many]))


@pytest.fixture(scope="module", params=[valkey, redis])
def full(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """A server with 4 MB of memory, which evicts any key and has evicted some."""
    with request.param.standalone(maxmemory="4mb", maxmemory_policy="allkeys-lru") as own:
        for number in range(60):
            own("SET", f"fill{number}", "x" * 100_000)
        own("FLUSHALL")
        yield own


def test_evicted_indexes(full: Redis, open_client: Any, caplog: Any, monkeypatch: Any) -> None:
    """All that an evicting server has kept is listed, and none of it is read after a clear."""
    spaces = [Space("t:full:", "user", f"u{number}") for number in range(40)]
    monkeypatch.setattr(fibonacci_redis.index, "_warned_servers", set())
    client = open_client(full.url)
    for turn in range(4):
        for space in spaces:
            records = [(Address(space, f"k{turn}{n:02}"), b"x" * 2_000) for n in range(25)]
            client("write_many", records, None)
    full("CONFIG", "SET", "maxmemory", "16mb")  # from here on nothing more goes
    kept = list(full("KEYS", "*:k*"))
    assert 0 < len(kept) < 4_000
    with caplog.at_level(logging.WARNING, "fibonacci_redis"):
        listed = {space: client.keys(space, limit=20) for space in spaces}
    assert sum(map(len, listed.values())) == len(kept)
    assert all(keys == sorted(keys) for keys in listed.values())
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "allkeys-lru" in messages[0]
    assert str(full.port) in messages[0]
    for space in spaces:
        client.clear(space)
    assert full("DBSIZE") == 0
    full("CONFIG", "SET", "maxmemory", "4mb")


def test_policy_of_before(full: Redis, open_client: Any) -> None:
    """A server that evicts nothing any more is trusted only if it never did."""
    client = open_client(full.url)
    client("write_many", RECORDS, None)
    lose_index(full)
    client("write", NEWER, b"1", None)
    full("CONFIG", "SET", "maxmemory-policy", "noeviction")
    try:
        assert client.keys(SPACE) == [*NAMES, "newer"]
    finally:
        full("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    client.clear(SPACE)
    assert found(client) == []


@pytest.fixture
def user(either_server: Redis) -> Iterator[Any]:
    """What gives the URL of a user with these rights, besides all that is not dangerous."""

    def user(*rules: str) -> str:
        either_server("ACL", "SETUSER", "u", "on", ">pw", "~*", "+@all", "-@dangerous", *rules)
        return either_server.url.replace("//", "//u:pw@")

    yield user
    either_server("ACL", "DELUSER", "u")


def test_policy_that_is_not_told(either_server: Redis, user: Any, open_client: Any) -> None:
    """Where the server may not be asked, its keys are looked through in any case."""
    client = open_client(user())
    client("write_many", RECORDS, None)
    lose_index(either_server)
    client("write", NEWER, b"1", None)
    assert client.keys(SPACE, limit=7) == [*NAMES, "newer"]
    client.clear(SPACE)
    assert found(client) == []


def test_keys_that_may_not_be_looked_through(user: Any, open_client: Any) -> None:
    """Where that is forbidden too, a clear does not say that all is gone."""
    client = open_client(user("-scan"))
    client("write_many", RECORDS, None)
    with pytest.raises(StorageError, match="see the ACL rules"):
        client.clear(SPACE)


def test_many_keys(
    valkey_proxy: Proxy, valkey_server: Redis, open_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with many keys, which keeps them all, is not looked through but for a lost index."""
    monkeypatch.setattr(fibonacci_redis.index, "MAX_SMALL_KEYSPACE", -1)
    client = open_client(valkey_proxy.url)
    client("write_many", RECORDS, None)
    with valkey_proxy.record() as traffic:
        assert client.keys(SPACE) == NAMES
        client.clear(SPACE)
        assert client.keys(SPACE) == []
    assert traffic.requests.count(b"SCAN") == 0
    client("write_many", RECORDS, None)
    lose_index(valkey_server)
    client.clear(SPACE)
    assert found(client) == []


def test_cluster(cluster: Cluster, open_client: Any) -> None:
    """In a cluster the node that has the records is looked through; not amid a slot's move."""
    index, slot = space_keys(SPACE).index.decode(), space_keys(SPACE).slot
    has = cluster.primary_of(index)
    gets = next(node for node in cluster.nodes if node is not has and b"master" in role(node))
    client = open_client(cluster.url)
    client("write_many", RECORDS, None)
    lose_index(has)
    gets("CLUSTER", "SETSLOT", slot, "IMPORTING", has("CLUSTER", "MYID").decode())
    has("CLUSTER", "SETSLOT", slot, "MIGRATING", gets("CLUSTER", "MYID").decode())
    try:
        with pytest.raises(BackendUnavailableError, match="is moving these keys"):
            client.clear(SPACE)
    finally:
        for node in (has, gets):
            node("CLUSTER", "SETSLOT", slot, "STABLE")
    client.clear(SPACE)
    assert found(client) == []


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
def test_what_a_server_says(info: str, keeps: bool, small: bool) -> None:
    """A server keeps all its keys where all that it says means so; what is not said does not."""
    keyspace = parse_keyspace(info.encode(), AT)
    assert (keyspace.keeps_all, keyspace.is_small) == (keeps, small)


def test_server_that_says_nothing() -> None:
    """A refusal says nothing."""
    assert parse_keyspace(ReplyError("NOPERM"), AT) == UNKNOWN_KEYSPACE
