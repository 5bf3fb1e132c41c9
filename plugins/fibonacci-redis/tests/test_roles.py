"""A server that is no primary is not read: its word is asked, whatever named it."""

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
from fibonacci_redis.layout import place
from fibonacci_redis.role import TRUSTED_FOR
from fibonacci_redis.wire import NOTHING

from .fakes import answering, words

SPACE = Space("t:roles:", "workflow", "w")
KEY = Address(SPACE, "k")
OTHER = Address(SPACE, "other")
LONG = b"x" * 9_000

READS: dict[str, Any] = {
    "read": lambda ask: ask("read", KEY),
    "read_many": lambda ask: ask("read_many", [KEY, OTHER]),
    "exists": lambda ask: ask("exists", KEY),
    "remaining_ttl_ms": lambda ask: ask("remaining_ttl_ms", KEY),
    "scan": lambda ask: ask("scan", SPACE),
    "clear": lambda ask: ask("clear", SPACE),
    "touch": lambda ask: ask("touch", Address(SPACE, "none"), None),
    "swap": lambda ask: ask("compare_and_set", KEY, b"other", b"2", KEEP_TTL),
    "swap, long": lambda ask: ask("compare_and_set", KEY, b"other", LONG, KEEP_TTL),
    "add": lambda ask: ask("compare_and_set", KEY, ABSENT, b"2", None),
}
"""What is decided by what is read; a write that only writes is refused by the server."""


def refused() -> Any:
    return pytest.raises(BackendUnavailableError, match="is a replica")


@pytest.mark.parametrize("verb", READS)
def test_replica(verb: str, valkey_sentinel: Watched, opening: Any) -> None:
    """A replica at the end of a plain URL is refused at once, for reads as for writes."""
    with refused():
        READS[verb](opening(valkey_sentinel.replica.url))


def test_replica_at_a_socket(valkey_sentinel: Watched, opening: Any) -> None:
    """So is one behind a Unix socket, and one whose database is chosen first."""
    replica = valkey_sentinel.replica
    for url in (f"unix://{replica.socket}", f"unix://{replica.socket}?db=1"):
        with refused():
            opening(url)("read", KEY)


@pytest.fixture(scope="module")
def demotable() -> Iterator[Standalone]:
    """A server of these tests' own, which is made a replica and a primary again."""
    with valkey.standalone() as own:
        yield own


@pytest.fixture
def demote(demotable: Standalone, valkey_server: Redis) -> Iterator[Any]:
    def demote() -> None:
        demotable("REPLICAOF", valkey_server.host, valkey_server.port)
        time.sleep(2 * TRUSTED_FOR)

    yield demote
    demotable("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize("verb", READS)
def test_demoted(verb: str, demotable: Standalone, demote: Any, opening: Any) -> None:
    """A primary that was made a replica is not read over the connections that it left open."""
    ask = opening(demotable.url)
    ask("write", KEY, b"1", None)
    ask("compare_and_set", KEY, b"1", LONG, None)  # a connection for what watches
    ask("write", KEY, b"1", None)
    assert ask("read", KEY) == b"1"
    demote()
    with refused():
        READS[verb](ask)
    demotable("REPLICAOF", "NO", "ONE")
    ask("write", KEY, b"2", None)
    assert ask("read", KEY) == b"2"


def test_all_who_wait_on_a_demoted_server(demotable: Standalone, demote: Any) -> None:
    """Of all who share a connection, none is given what a demoted server says."""
    url = StoreURL.parse(demotable.url)
    demotable("SET", place(SPACE).head.decode() + "k", "1")

    async def main() -> None:
        store: Any = fibonacci_storage(StoreSettings(url=url)).create_async_store()

        async def read_all() -> list[Any]:
            reads = [store.read(KEY, deadline=time.monotonic() + 5) for _ in range(50)]
            return await asyncio.gather(*reads, return_exceptions=True)

        assert await read_all() == [b"1"] * 50
        assert await read_all() == [b"1"] * 50
        demote()
        given_up = asyncio.create_task(store.read(KEY, deadline=time.monotonic() + 5))
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, given_up.cancel)
        assert {type(one) for one in await read_all()} == {BackendUnavailableError}
        assert given_up.cancelled()
        await store.close()

    asyncio.run(main())


def test_role_in_the_same_round_trip(valkey_proxy: Proxy, opening: Any) -> None:
    """To ask for the role costs a read no round trip."""
    ask = opening(valkey_proxy.url)
    ask("read", KEY)
    time.sleep(2 * TRUSTED_FOR)
    with valkey_proxy.record() as traffic:
        ask("read", KEY)
    assert traffic.round_trips == 1


def test_sentinel_with_an_old_word(valkey_sentinel: Watched, mode: str) -> None:
    """A sentinel that still names the old primary, a replica now, is passed over for another."""
    primary, replica = valkey_sentinel.primary, valkey_sentinel.replica
    primary("SET", place(Space("t:roles:", "workflow", "old")).head.decode() + "k", '"new"')
    with answering(lambda _: words("127.0.0.1", str(replica.port))) as old:
        sentinel = valkey_sentinel.sentinels[0]
        hosts = f"127.0.0.1:{old},{sentinel.host}:{sentinel.port}"
        url = f"redis+sentinel://{hosts}/{valkey_sentinel.service}"
        config = MemoryConfig(backend="redis", connection_url=url, key_prefix="t:roles:")
        memory = Workflow("old", config).memory
        found = asyncio.run(memory.aget("k")) if mode == "async" else memory.get("k")
        assert found == "new"


@pytest.mark.parametrize("binary", [valkey, redis])
def test_role_that_is_not_told(binary: Any, opening: Any) -> None:
    """A server whose administrator took HELLO away is used as it is: it can't be asked."""
    with binary.standalone(rename_command='HELLO ""') as server:
        ask = opening(server.url)
        ask("write", KEY, b"1", None)
        assert ask("read", KEY) == b"1"


def test_role_that_no_rule_forbids(either_server: Redis, opening: Any) -> None:
    """HELLO is not subject to ACL rules: who may only read learns the role as well."""
    either_server("ACL", "SETUSER", "reader", "on", ">password", "~*", "-@all", "+get")
    ask = opening(either_server.url.replace("//", "//reader:password@").replace("/0", ""))
    assert ask("read", KEY) is None
    assert connection_of(ask).tells_role


@pytest.mark.parametrize("told", [b"-NOPERM x\r\n", b"-unsupported command\r\n", b"*0\r\n"])
def test_role_that_is_not_known(told: bytes, opening: Any) -> None:
    """Nor is a proxy that does not know the command asked again."""
    with answering(lambda _: b"$1\r\n1\r\n", told) as port:
        ask = opening(f"redis://127.0.0.1:{port}")
        assert ask("read", KEY) == b"1"
        assert not connection_of(ask).tells_role


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (b"ERR max number of clients reached", "as many clients"),
        (b"ERR max concurrent connections exceeded", "as many clients"),
        (b"LOADING x", "is loading"),
    ],
)
def test_connection_that_is_refused(words: bytes, told: str, opening: Any) -> None:
    """An error that is about the connection is told as what it is."""
    with answering(lambda _: b"$1\r\n1\r\n", b"-" + words + b"\r\n") as port:
        ask = opening(f"redis://127.0.0.1:{port}")
        with pytest.raises(BackendUnavailableError, match=told):
            ask("read", KEY)


def test_server_that_goes_before_it_is_asked(opening: Any, valkey_server: Redis) -> None:
    """What a server said before it went is read, though it can't be asked any more."""
    ask = opening(valkey_server.url, speak="sync")
    ask("read", KEY)
    link = connection_of(ask)
    link.socket.shutdown(socket.SHUT_WR)
    link._greeting = NOTHING
    with pytest.raises(ConnectionResetError, match="the server closed"):
        link._look_at_role()


def connection_of(ask: Any) -> Any:
    """The connection that a store has."""
    node = ask.store._routes._node
    return node._shared._link if ask.mode == "async" else node._idle._idle[0].link


def test_old_map_of_a_cluster(valkey_cluster: Cluster, opening: Any) -> None:
    """A replica that an old map of a cluster names sends its askers to the primary."""
    space = Space("t:roles:", "workflow", "old")
    replica = valkey_cluster.replica_of(place(space).index.decode())
    opening(valkey_cluster.url)("write", Address(space, "k"), b"1", None)
    row = b"*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % replica.port
    with answering(lambda _: b"*1\r\n" + row) as seed:
        url = f"redis+cluster://127.0.0.1:{seed},{replica.host}:{replica.port}"
        config = MemoryConfig(backend="redis", connection_url=url, key_prefix="t:roles:")
        memory = Workflow("old", config).memory
        assert memory.get("k") == 1
        assert memory.list_keys() == ["k"]
        assert memory.clear() is True
    assert opening(valkey_cluster.url)("read", Address(space, "k")) is None
