"""Redis Cluster: slots that move, and nodes that fail."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from services import valkey
from services.cluster import Cluster
from services.standalone import Standalone

from fibonacci import (
    BackendUnavailableError,
    MemoryConfig,
    OutcomeUnknownError,
    StorageError,
    Workflow,
)
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci_redis.layout import space_keys

SPACES = [Space("t:cluster:", "workflow", f"w{number}") for number in range(12)]
SPACE = SPACES[0]
INDEX = space_keys(SPACE).index.decode()
SLOT = space_keys(SPACE).slot
KEY = Address(SPACE, "k")
LONG = b"x" * 10_000


@pytest.fixture
def client(open_client: Any, cluster: Cluster) -> Any:
    client = open_client(cluster.url)
    client("write_many", [(Address(space, "k"), b"1") for space in SPACES], None)
    yield client
    for space in SPACES:
        client.clear(space)


def exchange(cluster: Cluster) -> tuple[Any, Any]:
    """The node that has the slot, and another primary."""
    has = cluster.primary_of(INDEX)
    others = [cluster.primary_of(space_keys(space).index.decode()) for space in SPACES]
    return has, next(node for node in others if node is not has)


def name(node: Any) -> str:
    return str(node("CLUSTER", "MYID").decode())


def move(cluster: Cluster, has: Any, gets: Any) -> None:
    """Move the slot, with all that is in it."""
    begin(has, gets)
    while keys := has("CLUSTER", "GETKEYSINSLOT", SLOT, 100):
        for key in keys:
            has("MIGRATE", gets.host, gets.port, key.decode(), 0, 1_000)
    end(cluster, gets)


def begin(has: Any, gets: Any) -> None:
    gets("CLUSTER", "SETSLOT", SLOT, "IMPORTING", name(has))
    has("CLUSTER", "SETSLOT", SLOT, "MIGRATING", name(gets))


def end(cluster: Cluster, gets: Any) -> None:
    owner = name(gets)
    for node in cluster.nodes:
        if b"role:master" in node("INFO", "replication"):
            node("CLUSTER", "SETSLOT", SLOT, "NODE", owner)


VERBS = {
    "read": lambda client: client("read", KEY) == b"1",
    "read_many": lambda client: (
        client("read_many", [Address(space, "k") for space in SPACES]) == [b"1"] * len(SPACES)
    ),
    "write": lambda client: client("write", KEY, b"2", None) is None,
    "add": lambda client: client("compare_and_set", Address(SPACE, "new"), ABSENT, b"1", None),
    "swap": lambda client: client("compare_and_set", KEY, b"1", b"2", KEEP_TTL),
    "remove": lambda client: client("remove", KEY),
    "remove_many": lambda client: (
        client("remove_many", [Address(space, "k") for space in SPACES]) == len(SPACES)
    ),
    "write_many": lambda client: (
        client("write_many", [(Address(space, "k"), b"2") for space in SPACES], None) is None
    ),
    "scan": lambda client: client.keys(SPACE) == ["k"],
    "clear": lambda client: client("clear", SPACE) is None,
}


@pytest.mark.parametrize("verb", VERBS)
def test_moved(verb: str, client: Any, cluster: Cluster) -> None:
    """A verb finds a slot that has moved, at its first try."""
    has, gets = exchange(cluster)
    move(cluster, has, gets)
    assert VERBS[verb](client)


def test_moved_under_watch(client: Any, cluster: Cluster) -> None:
    """A long compare-and-set of a slot that has moved is surely not applied, then works."""
    has, gets = exchange(cluster)
    move(cluster, has, gets)
    with pytest.raises(BackendUnavailableError):
        client("compare_and_set", KEY, b"1", LONG, None)
    assert client("compare_and_set", KEY, b"1", LONG, None) is True
    assert client("read", KEY) == LONG


def test_moving(client: Any, cluster: Cluster) -> None:
    """While a slot moves, each verb is served or surely not applied, and nothing is lost."""
    has, gets = exchange(cluster)
    begin(has, gets)
    try:
        assert client("read", KEY) == b"1"
        assert client("read", Address(SPACE, "none")) is None  # asked of the other node
        has("MIGRATE", gets.host, gets.port, f"{INDEX}:k", 0, 1_000)
        assert client("read", KEY) == b"1"
        assert client("remaining_ttl_ms", KEY) is None
        for verb in ("write", "remove", "clear"):
            with pytest.raises(BackendUnavailableError, match="moving these keys"):
                VERBS[verb](client)
        with pytest.raises(OutcomeUnknownError, match="Some of the records were written"):
            VERBS["write_many"](client)
        has("MIGRATE", gets.host, gets.port, INDEX, 0, 1_000)
        client("write", KEY, b"2", None)
        assert client("read", KEY) == b"2"
    finally:
        end(cluster, gets)
    assert client.keys(SPACE) == ["k"]


@pytest.mark.long
def test_failover(cluster: Cluster, mode: str) -> None:
    """When a primary dies its replica is found, inside the deadline of one verb."""
    with valkey.cluster() as dying, asyncio.Runner() as runner:
        config = MemoryConfig(backend="redis", connection_url=dying.url, timeout=15.0)
        memory = Workflow("w0", config).memory

        def say(verb: str, *args: Any) -> Any:
            if mode == "sync":
                return getattr(memory, verb)(*args)
            return runner.run(getattr(memory, f"a{verb}")(*args))

        say("set", "k", "before")
        primary = dying.primary_of("fibonacci:v1:{w:w0}")
        primary("WAIT", 1, 1_000)
        primary.kill()
        assert say("get", "k") == "before"
        assert say("set", "k", "after") is True
        assert say("append", "turns", 1) == 1
        assert say("list_keys") == ["k", "turns"]


def test_no_node_answers(open_client: Any, cluster: Cluster) -> None:
    """Seeds that are gone are passed over; if all are, the error says so."""
    node = cluster.nodes[0]
    client = open_client(f"redis+cluster://127.0.0.1:1,{node.host}:{node.port}")
    assert client("read", Address(SPACE, "none")) is None
    with pytest.raises(BackendUnavailableError, match="can't connect to"):
        open_client("redis+cluster://127.0.0.1:1,127.0.0.1:2")("read", KEY)


@pytest.fixture
def lone(cluster: Cluster) -> Iterator[Standalone]:
    """A node of a cluster that has no slots."""
    with valkey.standalone(cluster_enabled="yes", cluster_require_full_coverage="no") as node:
        yield node


def test_slot_without_a_node(open_client: Any, lone: Standalone) -> None:
    """A slot that no node serves is a fault that says so."""
    with pytest.raises(StorageError, match="no node of the cluster serves"):
        open_client(cluster_url(lone))("read", KEY)


def test_slot_that_is_given_a_node(lone: Standalone) -> None:
    """It is a fault that may pass: a verb waits until somebody serves the slot."""
    lone("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
    config = MemoryConfig(backend="redis", connection_url=cluster_url(lone), timeout=15.0)
    assert Workflow("w0", config).memory.get("k") is None


def cluster_url(node: Any) -> str:
    return f"redis+cluster://{node.host}:{node.port}"


def test_lone_node_url(open_client: Any, cluster: Cluster) -> None:
    """A plain URL that leads into a cluster says what to write instead."""
    _, other = exchange(cluster)
    with pytest.raises(StorageError, match=r"redis\+cluster"):
        open_client(other.url)("read", KEY)
