"""Connections that were idle: what stands between may have forgotten them, and says nothing."""

import asyncio
import concurrent.futures
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from services.faults import Pass
from services.proxy import Proxy
from services.standalone import Redis

import fibonacci_redis.blocking
import fibonacci_redis.multiplex
from fibonacci import MemoryConfig, Workflow
from fibonacci.plugin import Address, Space
from fibonacci.testing.threads import run_concurrently

if TYPE_CHECKING:
    from services.link import Direction, Link

KEY = Address(Space("t:idle:", "workflow", "w"), "k")
TIMEOUT = 1.0


@attrs.frozen(eq=False)
class Forgetting(Pass):
    """Once it forgot, drops in silence what comes on connections that were there before."""

    forgot: threading.Event = attrs.field(factory=threading.Event)
    _known: "set[Link]" = attrs.field(factory=set)

    async def on(self, direction: "Direction", data: bytes, link: "Link") -> None:
        if not self.forgot.is_set():
            self._known.add(link)
        if not (self.forgot.is_set() and link in self._known and data):
            await link.send(direction, data)


@attrs.frozen
class Halting(Pass):
    """Holds answers back behind their first byte, for so many seconds."""

    seconds: float

    async def on(self, direction: "Direction", data: bytes, link: "Link") -> None:
        if direction == "reply" and data:
            await link.send(direction, data[:1])
            await asyncio.sleep(self.seconds)
            data = data[1:]
        await link.send(direction, data)


@pytest.fixture
def forgetting(valkey_proxy: Proxy) -> Iterator[Forgetting]:
    """A network that may forget its connections."""
    fault = Forgetting()
    with valkey_proxy.fault(fault):
        yield fault


@pytest.fixture
def say(valkey_proxy: Proxy, mode: str) -> Iterator[Callable[..., list[Any]]]:
    """A memory, which does a verb so many times at once."""
    config = MemoryConfig("redis", valkey_proxy.url, key_prefix="t:idle:", timeout=TIMEOUT)
    memory = Workflow("w", config).memory
    with asyncio.Runner() as runner:

        async def together(verb: str, args: tuple[Any, ...], times: int) -> list[Any]:
            return await asyncio.gather(*[getattr(memory, f"a{verb}")(*args) for _ in range(times)])

        def say(verb: str, *args: Any, times: int = 1) -> Any:
            if mode == "async":
                return runner.run(together(verb, args, times))
            return run_concurrently([lambda: getattr(memory, verb)(*args)] * times)

        yield say
        say("clear")
        say("close")


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
def test_forgotten(verb: str, say: Any, forgetting: Forgetting) -> None:
    """After a rest each verb works at its first try, though all connections lead nowhere (C20)."""
    say(*VERBS[verb], times=4)
    time.sleep(0.25)
    forgetting.forgot.set()
    start = time.monotonic()
    for times in (1, 3, 1, 1):
        say(*VERBS[verb], times=times)
    assert time.monotonic() - start < 2 * TIMEOUT


def test_checked(opening: Any, valkey_proxy: Proxy) -> None:
    """A write after a rest asks for a sign of life first, and goes out on the same connection."""
    ask = opening(valkey_proxy.url)
    ask("write", KEY, b"1", None)
    time.sleep(0.25)
    with valkey_proxy.record() as traffic:
        ask("write", KEY, b"2", None)
        ask("write", KEY, b"3", None)
    assert traffic.requests.count(b"PING") == 1
    assert traffic.connections == 0
    ask("remove", KEY)


def test_slow_answer(opening: Any, valkey_proxy: Proxy) -> None:
    """A read after a rest has all of its time, once a byte of the answer has come."""
    ask = opening(valkey_proxy.url)
    ask("read", KEY)
    time.sleep(0.03)
    with valkey_proxy.fault(Halting(0.4)), valkey_proxy.record() as traffic:
        assert ask("read", KEY, timeout=0.7) is None
    assert traffic.connections == 0


def test_too_old(opening: Any, valkey_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for longer than is safe is not used again."""
    for module in (fibonacci_redis.blocking, fibonacci_redis.multiplex):
        monkeypatch.setattr(module, "MAX_AGE", 0.05)
    ask = opening(valkey_proxy.url)
    with valkey_proxy.record() as traffic:
        for _ in range(2):
            ask("read", KEY)
            ask("read", KEY)
            time.sleep(0.06)
    assert traffic.connections == 2


def test_kept_alive(opening: Any, valkey_server: Redis) -> None:
    """The kernel asks after an idle server, whatever redis-py's defaults are."""
    ask = opening(valkey_server.url)
    ask("read", KEY)
    store = ask.store
    node = store._routes._node
    link = (node._shared or node)._link if ask.mode == "async" else node._idle._idle[0].link
    assert link.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert link.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_busy_executor(valkey_server: Redis) -> None:
    """A connection is made while the event loop's own threads are all busy."""
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
