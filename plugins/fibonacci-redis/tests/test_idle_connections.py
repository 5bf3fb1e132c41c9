"""Idle connections, which a NAT or a load balancer may have dropped silently."""

import asyncio
import concurrent.futures
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from services.proxy import Proxy
from services.standalone import Redis

import fibonacci_redis.blocking_node
import fibonacci_redis.multiplex
from fibonacci import MemoryConfig, Workflow
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL
from fibonacci.testing.network import Pass
from fibonacci.testing.threads import run_concurrently
from fibonacci_redis import fibonacci_storage

if TYPE_CHECKING:
    from fibonacci.testing.network.connection import Direction, ProxiedConnection

KEY = Address(Space("t:idle:", "workflow", "w"), "k")
TIMEOUT = 2.0  # half of it is for the PING on a dead connection


@attrs.frozen(eq=False)
class Forgetting(Pass):
    """Drops silently, once it forgot, all data on connections that existed before."""

    forgot: threading.Event = attrs.field(factory=threading.Event)
    _known: "set[ProxiedConnection]" = attrs.field(factory=set)

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        if not self.forgot.is_set():
            self._known.add(connection)
        if not (self.forgot.is_set() and connection in self._known and data):
            await connection.send(direction, data)


@attrs.frozen
class Halting(Pass):
    """Holds replies back after their first byte, for so many seconds."""

    seconds: float

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        if direction == "reply" and data:
            await connection.send(direction, data[:1])
            await asyncio.sleep(self.seconds)
            data = data[1:]
        await connection.send(direction, data)


@pytest.fixture
def forgetting(valkey_proxy: Proxy) -> Iterator[Forgetting]:
    """A network that may forget its connections."""
    fault = Forgetting()
    with valkey_proxy.fault(fault):
        yield fault


@pytest.fixture
def call(valkey_proxy: Proxy, mode: str) -> Iterator[Callable[..., list[Any]]]:
    """A function that calls a verb of a memory, several times at once."""
    config = MemoryConfig("redis", valkey_proxy.url, key_prefix="t:idle:", timeout=TIMEOUT)
    memory = Workflow("w", config).memory
    with asyncio.Runner() as runner:

        async def together(verb: str, args: tuple[Any, ...], times: int) -> list[Any]:
            return await asyncio.gather(*[getattr(memory, f"a{verb}")(*args) for _ in range(times)])

        def call(verb: str, *args: Any, times: int = 1) -> Any:
            if mode == "async":
                return runner.run(together(verb, args, times))
            return run_concurrently([lambda: getattr(memory, verb)(*args)] * times)

        yield call
        call("clear")
        call("close")


LONG = "x" * 20_000
VERBS: dict[str, tuple[Any, ...]] = {
    "get": ("get", "k"),
    "set": ("set", "k", 1),
    "append": ("append", "list", 1),
    "long update": ("update", "long", lambda found: (found or LONG) + "y"),
}


@pytest.mark.parametrize(
    "verb", ["get", "set", pytest.param("append", marks=pytest.mark.long), "long update"]
)
def test_verb_after_idle_time_succeeds_on_dead_connections(
    verb: str, call: Any, forgetting: Forgetting
) -> None:
    """Each verb after an idle time succeeds at once though all connections are dead (C20)."""
    call(*VERBS[verb], times=4)
    time.sleep(0.25)
    forgetting.forgot.set()
    start = time.monotonic()
    for times in (1, 3, 1, 1):
        call(*VERBS[verb], times=times)
    assert time.monotonic() - start < 2 * TIMEOUT


def test_write_after_idle_time_sends_a_ping(open_client: Any, valkey_proxy: Proxy) -> None:
    """A write after an idle time sends a PING first, and uses the same connection."""
    client = open_client(valkey_proxy.url)
    client("write", KEY, b"1", None)
    time.sleep(0.25)
    with valkey_proxy.record() as traffic:
        client("write", KEY, b"2", None)
        client("write", KEY, b"3", None)
    assert traffic.requests.count(b"PING") == 1
    assert traffic.connections == 0
    client("remove", KEY)


def test_slow_reply_may_use_the_whole_timeout(open_client: Any, valkey_proxy: Proxy) -> None:
    """A read after an idle time has its whole timeout once a byte of the reply has arrived."""
    client = open_client(valkey_proxy.url)
    client("read", KEY)
    time.sleep(0.03)
    with valkey_proxy.fault(Halting(0.4)), valkey_proxy.record() as traffic:
        assert client("read", KEY, timeout=0.7) is None
    assert traffic.connections == 0


@attrs.frozen
class Begun(Pass):
    """Passes the first byte of each reply, and the others when the fault is over."""

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        if direction == "reply" and data:
            await connection.send(direction, data[:1])
            await connection.hold(direction, data[1:])
        else:
            await connection.send(direction, data)


def test_begun_reply_is_awaited_on_a_shared_connection(valkey_proxy: Proxy) -> None:
    """A read after an idle time that has a byte at half of its time waits on, until its deadline.

    The reply ends only after that check, however busy this machine is.
    """
    backend = fibonacci_storage(StoreSettings(url=StoreURL.parse(valkey_proxy.url)))

    async def main() -> None:
        store: Any = backend.create_async_store()
        await store.read(KEY, deadline=time.monotonic() + 5)
        await asyncio.sleep(0.03)
        with valkey_proxy.record() as traffic:
            with valkey_proxy.fault(Begun()):
                read = asyncio.create_task(store.read(KEY, deadline=time.monotonic() + 2))
                await asyncio.sleep(0)
                [pending] = store._topology._node._shared._pending
                while pending.check_at < pending.deadline:  # noqa: ASYNC110 - it sets no event
                    await asyncio.sleep(0.01)
            assert await read is None
        assert traffic.connections == 0
        await store.close()

    asyncio.run(main())


def test_old_connection_is_not_reused(
    open_client: Any, valkey_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle for too long is not used again."""
    for module in (fibonacci_redis.blocking_node, fibonacci_redis.multiplex):
        monkeypatch.setattr(module, "MAX_IDLE_TIME", 0.05)
    client = open_client(valkey_proxy.url)
    with valkey_proxy.record() as traffic:
        for _ in range(2):
            client("read", KEY)
            client("read", KEY)
            time.sleep(0.06)
    assert traffic.connections == 2


def test_keepalive_is_enabled(open_client: Any, valkey_server: Redis) -> None:
    """TCP keepalive is enabled, whatever redis-py's defaults are."""
    client = open_client(valkey_server.url)
    client("read", KEY)
    store = client.store
    node = store._topology._node
    connection = (
        (node._shared or node)._connection
        if client.mode == "async"
        else node._pool._idle[0].connection
    )
    assert connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_connecting_needs_no_default_executor(valkey_server: Redis) -> None:
    """A connection is established while the event loop's default executor is busy."""
    enough = threading.Event()
    config = MemoryConfig("redis", valkey_server.url, key_prefix="t:idle:", timeout=TIMEOUT)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, enough.wait)
        memory = Workflow("w", config).memory
        try:
            assert await memory.aset("k", 1)
        finally:
            enough.set()
            await busy
        await memory.aclear()

    asyncio.run(main())
