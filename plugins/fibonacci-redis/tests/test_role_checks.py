"""Replicas are not read: each server has to report that it is a primary."""

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from services import redis, valkey
from services.cluster import Cluster
from services.proxy import Proxy
from services.sentinel import Watched
from services.standalone import Redis, Standalone

from fibonacci import BackendUnavailableError, MemoryConfig, Workflow
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space, StoreSettings, StoreURL
from fibonacci_redis import fibonacci_storage
from fibonacci_redis.connection import ROLE_TTL
from fibonacci_redis.layout import space_keys
from fibonacci_redis.protocol import INCOMPLETE

from .fakes import bulk_array, fake_server

SPACE = Space("t:roles:", "workflow", "w")
KEY = Address(SPACE, "k")
OTHER = Address(SPACE, "other")
LONG = b"x" * 9_000

READS: dict[str, Any] = {
    "read": lambda client: client("read", KEY),
    "read_many": lambda client: client("read_many", [KEY, OTHER]),
    "exists": lambda client: client("exists", KEY),
    "remaining_ttl_ms": lambda client: client("remaining_ttl_ms", KEY),
    "scan": lambda client: client("scan", SPACE),
    "clear": lambda client: client("clear", SPACE),
    "touch": lambda client: client("touch", Address(SPACE, "none"), None),
    "cas": lambda client: client("compare_and_set", KEY, b"other", b"2", KEEP_TTL),
    "cas, long": lambda client: client("compare_and_set", KEY, b"other", LONG, KEEP_TTL),
    "add": lambda client: client("compare_and_set", KEY, ABSENT, b"2", None),
}
"""Verbs that depend on what they read; the server itself refuses a write that reads nothing."""


def refuses_replica() -> Any:
    return pytest.raises(BackendUnavailableError, match="is a replica")


@pytest.mark.parametrize("verb", READS)
def test_replica_at_a_plain_url_is_refused(
    verb: str, valkey_sentinel: Watched, open_client: Any
) -> None:
    """A replica at a plain URL is refused at once, for reads and for writes."""
    with refuses_replica():
        READS[verb](open_client(valkey_sentinel.replica.url))


def test_replica_at_a_unix_socket_is_refused(valkey_sentinel: Watched, open_client: Any) -> None:
    """A replica at a unix socket is refused, with another database, too."""
    replica = valkey_sentinel.replica
    for url in (f"unix://{replica.socket}", f"unix://{replica.socket}?db=1"):
        with refuses_replica():
            open_client(url)("read", KEY)


@pytest.fixture(scope="module")
def demotable() -> Iterator[Standalone]:
    """A server of this module, which becomes a replica and a primary again."""
    with valkey.standalone() as own:
        yield own


@pytest.fixture
def demote(demotable: Standalone, valkey_server: Redis) -> Iterator[Any]:
    def demote() -> None:
        demotable("REPLICAOF", valkey_server.host, valkey_server.port)
        time.sleep(2 * ROLE_TTL)

    yield demote
    demotable("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize("verb", READS)
def test_demoted_primary_is_not_read(
    verb: str, demotable: Standalone, demote: Any, open_client: Any
) -> None:
    """A primary that became a replica is not read over its open connections."""
    client = open_client(demotable.url)
    client("write", KEY, b"1", None)
    client("compare_and_set", KEY, b"1", LONG, None)  # a reserved connection
    client("write", KEY, b"1", None)
    assert client("read", KEY) == b"1"
    demote()
    with refuses_replica():
        READS[verb](client)
    demotable("REPLICAOF", "NO", "ONE")
    client("write", KEY, b"2", None)
    assert client("read", KEY) == b"2"


def test_no_caller_gets_the_reply_of_a_demoted_server(demotable: Standalone, demote: Any) -> None:
    """No caller of a shared connection gets the reply of a server that became a replica."""
    url = StoreURL.parse(demotable.url)
    demotable("SET", space_keys(SPACE).record_prefix.decode() + "k", "1")

    async def main() -> None:
        store: Any = fibonacci_storage(StoreSettings(url=url)).create_async_store()

        async def read_all() -> list[Any]:
            reads = [store.read(KEY, deadline=time.monotonic() + 5) for _ in range(50)]
            return await asyncio.gather(*reads, return_exceptions=True)

        assert await read_all() == [b"1"] * 50
        assert await read_all() == [b"1"] * 50
        demote()
        cancelled = asyncio.create_task(store.read(KEY, deadline=time.monotonic() + 5))
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, cancelled.cancel)
        assert {type(error) for error in await read_all()} == {BackendUnavailableError}
        assert cancelled.cancelled()
        await store.close()

    asyncio.run(main())


def test_role_check_takes_no_round_trip(valkey_proxy: Proxy, open_client: Any) -> None:
    """The check of the role adds no round trip to a read."""
    client = open_client(valkey_proxy.url)
    client("read", KEY)
    time.sleep(2 * ROLE_TTL)
    with valkey_proxy.record() as traffic:
        client("read", KEY)
    assert traffic.round_trips == 1


def test_sentinel_with_an_old_primary_is_skipped(valkey_sentinel: Watched, mode: str) -> None:
    """A sentinel that still names the old primary, a replica now, is skipped."""
    primary, replica = valkey_sentinel.primary, valkey_sentinel.replica
    primary(
        "SET",
        space_keys(Space("t:roles:", "workflow", "old")).record_prefix.decode() + "k",
        '"new"',
    )
    with fake_server(lambda _: bulk_array("127.0.0.1", str(replica.port))) as old:
        sentinel = valkey_sentinel.sentinels[0]
        hosts = f"127.0.0.1:{old},{sentinel.host}:{sentinel.port}"
        url = f"redis+sentinel://{hosts}/{valkey_sentinel.service}"
        config = MemoryConfig(backend="redis", connection_url=url, key_prefix="t:roles:")
        memory = Workflow("old", config).memory
        found = asyncio.run(memory.aget("k")) if mode == "async" else memory.get("k")
        assert found == "new"


@pytest.mark.parametrize("binary", [valkey, redis])
def test_server_without_hello_is_used(binary: Any, open_client: Any) -> None:
    """A server whose administrator renamed HELLO is used without a check."""
    with binary.standalone(rename_command='HELLO ""') as server:
        client = open_client(server.url)
        client("write", KEY, b"1", None)
        assert client("read", KEY) == b"1"


def test_hello_needs_no_permission(either_server: Redis, open_client: Any) -> None:
    """HELLO is allowed to a user with any ACL rules."""
    either_server("ACL", "SETUSER", "reader", "on", ">password", "~*", "-@all", "+get")
    client = open_client(either_server.url.replace("//", "//reader:password@").replace("/0", ""))
    assert client("read", KEY) is None
    assert connection_of(client).reports_role


@pytest.mark.parametrize("reply", [b"-NOPERM x\r\n", b"-unsupported command\r\n", b"*0\r\n"])
def test_proxy_without_hello_is_used(reply: bytes, open_client: Any) -> None:
    """A proxy that does not know HELLO is used, and not checked again."""
    with fake_server(lambda _: b"$1\r\n1\r\n", reply) as port:
        client = open_client(f"redis://127.0.0.1:{port}")
        assert client("read", KEY) == b"1"
        assert not connection_of(client).reports_role


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"ERR max number of clients reached", "too many clients"),
        (b"ERR max concurrent connections exceeded", "too many clients"),
        (b"LOADING x", "is loading"),
    ],
)
def test_connection_error_in_reply_to_hello_is_reported(
    text: bytes, message: str, open_client: Any
) -> None:
    """An error in reply to HELLO that is about the connection is reported as such."""
    with fake_server(lambda _: b"$1\r\n1\r\n", b"-" + text + b"\r\n") as port:
        client = open_client(f"redis://127.0.0.1:{port}")
        with pytest.raises(BackendUnavailableError, match=message):
            client("read", KEY)


def test_unread_reply_of_a_closed_connection_is_read(
    open_client: Any, valkey_server: Redis
) -> None:
    """What a server sent before it closed the connection is read, though HELLO can't be sent."""
    client = open_client(valkey_server.url, mode="sync")
    client("read", KEY)
    connection = connection_of(client)
    connection.socket.shutdown(socket.SHUT_WR)
    connection._hello_reply = INCOMPLETE
    with pytest.raises(ConnectionResetError, match="the server closed"):
        connection._check_role()


def connection_of(client: Any) -> Any:
    """Return the open connection of a store."""
    node = client.store._topology._node
    return node._shared._connection if client.mode == "async" else node._pool._idle[0].connection


def test_replica_in_an_old_slot_map_redirects(valkey_cluster: Cluster, open_client: Any) -> None:
    """A replica in an old map of the slots redirects to the primary."""
    space = Space("t:roles:", "workflow", "old")
    replica = valkey_cluster.replica_of(space_keys(space).index.decode())
    open_client(valkey_cluster.url)("write", Address(space, "k"), b"1", None)
    row = b"*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % replica.port
    with fake_server(lambda _: b"*1\r\n" + row) as seed:
        url = f"redis+cluster://127.0.0.1:{seed},{replica.host}:{replica.port}"
        config = MemoryConfig(backend="redis", connection_url=url, key_prefix="t:roles:")
        memory = Workflow("old", config).memory
        assert memory.get("k") == 1
        assert memory.list_keys() == ["k"]
        assert memory.clear() is True
    assert open_client(valkey_cluster.url)("read", Address(space, "k")) is None
