"""What the logger ``fibonacci.redis`` reports, at which level; never a secret, a key or a user."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from log_messages import CANARY, take_messages, use_canaries
from services import valkey
from services.cluster import Cluster
from services.proxy import Proxy
from services.sentinel import Watched
from services.standalone import Redis
from services.waiting import wait_until

from fibonacci import FibonacciError, MemoryConfig, Workflow, generate_key
from fibonacci.plugin import Address, Space
from fibonacci.testing.network import BlackHole, Refuse, lost_reply
from fibonacci_redis import async_node, blocking_node, multiplex

from .test_cluster import KEY as KEY_THAT_MOVES
from .test_cluster import begin_move, end_move, nodes_for_move

SPACE = Space("t:logging:", "workflow", "w")
KEY = Address(SPACE, "k")
PASSWORD = "canary-password"


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    """Returns the messages of ``fibonacci.redis`` of one level, and forgets all."""
    caplog.set_level(logging.DEBUG)
    return partial(take_messages, caplog, "fibonacci.redis")


def test_new_connections_are_logged(
    valkey_proxy: Proxy, open_client: Any, messages: Callable[..., list[str]]
) -> None:
    """Each new connection is logged at DEBUG, with its server; requests on it are not."""
    client = open_client(valkey_proxy.url)
    client("read", KEY)
    server = f"Redis at 127.0.0.1:{valkey_proxy.port}"
    assert messages("DEBUG") == [f"connected to {server}"]
    client("read", KEY)
    assert messages("DEBUG") == []
    valkey_proxy.drop()
    time.sleep(0.05)
    client("read", KEY)
    assert messages("DEBUG")[-1] == f"connected to {server}"


def test_expired_connections_are_logged(
    mode: str,
    valkey_server: Redis,
    open_client: Any,
    messages: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that was idle for too long is logged at DEBUG when it is closed."""
    for node in (blocking_node, async_node):
        monkeypatch.setattr(node, "MAX_IDLE_TIME", 0.0)
    client = open_client(valkey_server.url)
    if mode == "sync":
        client("read", KEY)
        client("read", KEY)
    else:  # the pool of an async node is for watched records and scans
        for _ in range(2):
            client.keys(SPACE)
            client("write", KEY, b"1", None)
            client("remove", KEY)
            client.clear(SPACE)
    found = messages("DEBUG")
    assert any(
        text.startswith(f"closed a connection to Redis at {valkey_server.host}:")
        and text.endswith(" s")
        for text in found
    )


def test_unresponsive_idle_connections_are_logged(
    mode: str, valkey_proxy: Proxy, open_client: Any, messages: Callable[..., list[str]]
) -> None:
    """An idle connection without response before a write is logged at DEBUG."""
    client = open_client(valkey_proxy.url)
    client("write", KEY, b"1", None)
    time.sleep(0.25)
    messages("DEBUG")
    with valkey_proxy.fault(BlackHole()), pytest.raises(FibonacciError):
        client("write", KEY, b"1", None, timeout=0.6)
    found = messages("DEBUG")
    expected = "no response from " if mode == "sync" else "replacing the connection to "
    assert any(text.startswith(f"{expected}Redis at 127.0.0.1:") for text in found)
    client("remove", KEY)


def test_first_primary_of_sentinels_is_logged(
    watched: Watched, open_client: Any, messages: Callable[..., list[str]]
) -> None:
    """The primary that sentinels name first is logged at DEBUG; a silent sentinel is, too."""
    sentinel = watched.sentinels[0]
    url = f"redis+sentinel://127.0.0.1:1,{sentinel.host}:{sentinel.port}/{watched.service}"
    open_client(url)("read", KEY)
    found = messages("DEBUG")
    assert any(text.startswith("a sentinel named no primary: can't connect to") for text in found)
    primary = f"Redis at 127.0.0.1:{watched.primary.port}"
    assert f"the primary of 'fibonacci' is {primary}" in found


def test_new_primary_is_logged(
    watched: Watched,
    own_valkey: Redis,
    valkey_server: Redis,
    open_client: Any,
    messages: Callable[..., list[str]],
) -> None:
    """If sentinels name another primary, it is logged at INFO, with the former one."""
    sentinel, service = watched.sentinels[0], "moving"
    sentinel("SENTINEL", "MONITOR", service, valkey_server.host, valkey_server.port, 1)
    try:
        client = open_client(f"redis+sentinel://{sentinel.host}:{sentinel.port}/{service}")
        client("read", KEY)
        sentinel("SENTINEL", "REMOVE", service)
        sentinel("SENTINEL", "MONITOR", service, own_valkey.host, own_valkey.port, 1)
        topology = client.store._topology
        topology._invalidate(topology._last)
        lost = messages("DEBUG")
        client("read", KEY)
    finally:
        sentinel("SENTINEL", "REMOVE", service)
    now = f"Redis at {own_valkey.host}:{own_valkey.port}"
    then = f"Redis at {valkey_server.host}:{valkey_server.port}"
    assert f"{then} failed, or is no primary: the sentinels are queried" in lost
    assert messages("INFO") == [f"the primary of 'moving' is now {now}, not {then}"]


def test_moved_slots_are_logged(
    cluster: Cluster, open_client: Any, messages: Callable[..., list[str]]
) -> None:
    """Primaries of a cluster are logged at DEBUG, and at INFO when hash slots moved."""
    client = open_client(cluster.url)
    client("read", KEY_THAT_MOVES)
    found = messages("DEBUG")
    assert any(text.startswith("the cluster's primaries are Redis at") for text in found)
    source, target = nodes_for_move(cluster)
    begin_move(source, target)
    end_move(cluster, target)
    try:
        logged: list[str] = []

        def is_logged() -> bool:
            client("read", KEY_THAT_MOVES)
            logged.extend(messages("INFO"))
            return bool(logged)

        wait_until(is_logged, 30)  # another node may still name the source
    finally:
        begin_move(target, source)
        end_move(cluster, source)
    [text] = logged
    assert text.startswith("hash slots on another node: 1; the primaries are now Redis at ")


def test_former_primary_is_logged(
    open_client: Any, messages: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that became a replica is logged at DEBUG."""
    for module in (blocking_node, multiplex):
        # Or the check of a connection that was idle finds the replica, before any write.
        monkeypatch.setattr(module, "PING_AFTER", float("inf"))
    with valkey.standalone() as server:
        client = open_client(server.url)
        client("write", KEY, b"1", None)
        server("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(FibonacciError):
            client("write", KEY, b"1", None)
        text = f"Redis at 127.0.0.1:{server.port} replied READONLY: its connections are closed"
        assert text in messages("DEBUG")


FAULTS = [lost_reply(), BlackHole(), Refuse()]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_logs_hold_no_secret(
    fault: Any, valkey_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Under faults no log holds a value, a record's key, a user, an encryption key or password."""
    caplog.set_level(logging.DEBUG)
    key = generate_key()
    config = MemoryConfig(
        "redis",
        valkey_proxy.url.replace("redis://", f"redis://default:{PASSWORD}@"),
        key_prefix="t:logging:",
        encrypt_values=True,
        encryption_key=key,
        timeout=0.3,
    )
    plain = attrs.evolve(
        config, connection_url=valkey_proxy.url, encrypt_values=False, encryption_key=None
    )
    for chosen in (config, plain):
        with Workflow("w", chosen) as workflow:
            use_canaries(workflow.memory, valkey_proxy.fault(fault))
    assert "fibonacci.redis" in {record.name for record in caplog.records}
    assert all(secret not in caplog.text for secret in (CANARY, PASSWORD, key))
