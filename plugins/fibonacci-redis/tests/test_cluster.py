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


def nodes_for_move(cluster: Cluster) -> tuple[Any, Any]:
    """Return the node that holds the slot, and another primary."""
    source = cluster.primary_of(INDEX)
    others = [cluster.primary_of(space_keys(space).index.decode()) for space in SPACES]
    return source, next(node for node in others if node is not source)


def node_id(node: Any) -> str:
    return str(node("CLUSTER", "MYID").decode())


def move_slot(cluster: Cluster, source: Any, target: Any) -> None:
    """Move the slot, with all its keys."""
    begin_move(source, target)
    while keys := source("CLUSTER", "GETKEYSINSLOT", SLOT, 100):
        for key in keys:
            source("MIGRATE", target.host, target.port, key.decode(), 0, 1_000)
    end_move(cluster, target)


def begin_move(source: Any, target: Any) -> None:
    target("CLUSTER", "SETSLOT", SLOT, "IMPORTING", node_id(source))
    source("CLUSTER", "SETSLOT", SLOT, "MIGRATING", node_id(target))


def end_move(cluster: Cluster, target: Any) -> None:
    owner = node_id(target)
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
    "cas": lambda client: client("compare_and_set", KEY, b"1", b"2", KEEP_TTL),
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
def test_verb_follows_a_moved_slot(verb: str, client: Any, cluster: Cluster) -> None:
    """A verb succeeds at its first attempt after the slot has moved."""
    source, target = nodes_for_move(cluster)
    move_slot(cluster, source, target)
    assert VERBS[verb](client)


def test_watch_on_a_moved_slot_is_not_applied(client: Any, cluster: Cluster) -> None:
    """A large compare-and-set on a moved slot is not applied, and then succeeds."""
    source, target = nodes_for_move(cluster)
    move_slot(cluster, source, target)
    with pytest.raises(BackendUnavailableError):
        client("compare_and_set", KEY, b"1", LONG, None)
    assert client("compare_and_set", KEY, b"1", LONG, None) is True
    assert client("read", KEY) == LONG


def test_verbs_while_a_slot_moves(client: Any, cluster: Cluster) -> None:
    """Each verb on a moving slot succeeds or is not applied, and no record is lost."""
    source, target = nodes_for_move(cluster)
    begin_move(source, target)
    try:
        assert client("read", KEY) == b"1"
        assert client("read", Address(SPACE, "none")) is None  # sent to the other node
        source("MIGRATE", target.host, target.port, f"{INDEX}:k", 0, 1_000)
        assert client("read", KEY) == b"1"
        assert client("remaining_ttl_ms", KEY) is None
        for verb in ("write", "remove", "clear"):
            with pytest.raises(BackendUnavailableError, match="moving these keys"):
                VERBS[verb](client)
        with pytest.raises(OutcomeUnknownError, match="Some of the records were written"):
            VERBS["write_many"](client)
        source("MIGRATE", target.host, target.port, INDEX, 0, 1_000)
        client("write", KEY, b"2", None)
        assert client("read", KEY) == b"2"
    finally:
        end_move(cluster, target)
    assert client.keys(SPACE) == ["k"]


@pytest.mark.long
def test_failover_within_one_call(cluster: Cluster, mode: str) -> None:
    """A replica that takes over is found within the deadline of one verb."""
    with valkey.cluster() as dying, asyncio.Runner() as runner:
        config = MemoryConfig(backend="redis", connection_url=dying.url, timeout=15.0)
        memory = Workflow("w0", config).memory

        def call(verb: str, *args: Any) -> Any:
            if mode == "sync":
                return getattr(memory, verb)(*args)
            return runner.run(getattr(memory, f"a{verb}")(*args))

        call("set", "k", "before")
        primary = dying.primary_of("fibonacci:v1:{w:w0}")
        primary("WAIT", 1, 1_000)
        primary.kill()
        assert call("get", "k") == "before"
        assert call("set", "k", "after") is True
        assert call("append", "turns", 1) == 1
        assert call("list_keys") == ["k", "turns"]


def test_unreachable_seed_is_skipped(open_client: Any, cluster: Cluster) -> None:
    """Seeds that are unreachable are skipped; if all are, the error says so."""
    node = cluster.nodes[0]
    client = open_client(f"redis+cluster://127.0.0.1:1,{node.host}:{node.port}")
    assert client("read", Address(SPACE, "none")) is None
    with pytest.raises(BackendUnavailableError, match="can't connect to"):
        open_client("redis+cluster://127.0.0.1:1,127.0.0.1:2")("read", KEY)


@pytest.fixture
def lone_node(cluster: Cluster) -> Iterator[Standalone]:
    """A node of a cluster that holds no slots."""
    with valkey.standalone(cluster_enabled="yes", cluster_require_full_coverage="no") as node:
        yield node


def test_slot_without_a_node_is_an_error(open_client: Any, lone_node: Standalone) -> None:
    """A slot that no node serves is an error that says so."""
    with pytest.raises(StorageError, match="no node of the cluster serves"):
        open_client(cluster_url(lone_node))("read", KEY)


def test_verb_waits_until_the_slot_has_a_node(lone_node: Standalone) -> None:
    """A verb is retried until a node serves the slot."""
    lone_node("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
    config = MemoryConfig(backend="redis", connection_url=cluster_url(lone_node), timeout=15.0)
    assert Workflow("w0", config).memory.get("k") is None


def cluster_url(node: Any) -> str:
    return f"redis+cluster://{node.host}:{node.port}"


def test_plain_url_of_a_cluster_is_refused(open_client: Any, cluster: Cluster) -> None:
    """The error for a plain URL that leads to a cluster says what to write instead."""
    _, other = nodes_for_move(cluster)
    with pytest.raises(StorageError, match=r"redis\+cluster"):
        open_client(other.url)("read", KEY)
