"""Redis Sentinel: the primary is found, and found again when another takes over."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from services import valkey
from services.faults import BlackHole
from services.proxy import Proxy
from services.sentinel import Watched

from fibonacci import BackendUnavailableError, MemoryConfig, StorageError, Workflow
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL
from fibonacci_redis import fibonacci_storage

SPACE = Space("t:sentinel:", "workflow", "w")
KEY = Address(SPACE, "k")


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """Servers of these tests' own; where there are the shared ones."""
    with valkey.sentinel() as own:
        yield own


@pytest.mark.long
def test_failover(watched: Watched, open_client: Any) -> None:
    """When the primary dies the new one is found, inside the deadline of one verb."""
    config = MemoryConfig(
        backend="redis", connection_url=watched.url, key_prefix="t:sentinel:", timeout=15.0
    )
    memory = Workflow("failover", config).memory
    memory.set("k", "before")
    dying = watched.primary
    dying("WAIT", 1, 1_000)
    dying.kill()
    try:
        assert memory.get("k") == "before"
        assert memory.set("k", "after") is True
        assert memory.append("turns", 1) == 1
    finally:
        dying.start()
        watched.wait()
    assert memory.get("k") == "after"
    memory.clear()


@pytest.mark.long
def test_asked_to_step_down(watched: Watched, open_client: Any) -> None:
    """A primary that became a replica is not written to: the sentinels are asked again."""
    client = open_client(watched.url)
    client("write", KEY, b"1", None)
    before = watched.primary
    watched.sentinels[0]("SENTINEL", "FAILOVER", watched.service)
    until(lambda: watched.primary is not before)
    watched.wait()
    end = time.monotonic() + 10
    while True:
        try:
            client("write", KEY, b"2", None)
            break
        except BackendUnavailableError:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert client("read", KEY) == b"2"
    assert watched.primary("GET", "t:sentinel:v1:{w:w}:k") == b"2"
    client.clear(SPACE)


def test_sentinels_that_are_gone(watched: Watched, open_client: Any) -> None:
    """Sentinels that don't answer are passed over; if none does, the error says so."""
    sentinel = watched.sentinels[0]
    url = f"redis+sentinel://127.0.0.1:1,{sentinel.host}:{sentinel.port}/{watched.service}"
    assert open_client(url)("read", KEY) is None
    with pytest.raises(BackendUnavailableError, match="can't connect to"):
        open_client(f"redis+sentinel://127.0.0.1:1/{watched.service}")("read", KEY)


def test_unknown_service(watched: Watched, open_client: Any) -> None:
    """A service that the sentinels don't know is no passing fault."""
    with pytest.raises(StorageError, match="knows no service 'other'") as raised:
        open_client(watched.url.replace(f"/{watched.service}/", "/other/"))("read", KEY)
    assert type(raised.value) is StorageError


def test_no_sentinel(watched: Watched, open_client: Any) -> None:
    """A server that is no sentinel is told as what it answers."""
    primary = watched.primary
    with pytest.raises(StorageError):
        open_client(f"redis+sentinel://{primary.host}:{primary.port}/main")("read", KEY)


def until(true: Any) -> None:
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_many_callers_at_once(watched: Watched) -> None:
    """All tasks of a loop share one look-up and one connection, also after each fault."""
    primary, sentinel = watched.primary, watched.sentinels[0]
    strangers = connected(primary)

    async def main(proxy: Proxy) -> None:
        url = f"redis+sentinel://{proxy.host}:{proxy.port}/{watched.service}"
        store: Any = fibonacci_storage(StoreSettings(url=StoreURL.parse(url))).create_async_store()
        for _ in range(3):
            with proxy.record() as traffic:
                asking = [store.read(KEY, deadline=time.monotonic() + 5) for _ in range(100)]
                assert await asyncio.gather(*asking) == [None] * 100
            assert traffic.connections == 1
            assert len(connected(primary) - strangers) == 1
            for _ in range(2):
                store._topology._invalidate(store._topology._last)
        with proxy.fault(BlackHole()):
            reads = [store.read(KEY, deadline=time.monotonic() + s) for s in (0.2, 0.05)]
            results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in results] == [BackendUnavailableError] * 2
        await store.close()

    with Proxy(sentinel) as proxy:
        asyncio.run(main(proxy))
    until(lambda: connected(primary) <= strangers)


def test_closed_while_searching(watched: Watched) -> None:
    """A primary that is found after the memory was closed gets no connection."""
    settings = StoreSettings(url=StoreURL.parse(watched.url))
    strangers = connected(watched.primary)

    async def main() -> None:
        store: Any = fibonacci_storage(settings).create_async_store()
        asking = asyncio.create_task(store.read(KEY, deadline=time.monotonic() + 5))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(BackendUnavailableError, match="was closed or replaced"):
            await asking

    asyncio.run(main())
    assert connected(watched.primary) <= strangers


def connected(server: Any) -> set[str]:
    """Who is connected to the server: clients, by their ids."""
    lines = server("CLIENT", "LIST", "TYPE", "normal").decode().splitlines()
    found = [dict(word.split("=", 1) for word in line.split()) for line in lines]
    return {one["id"] for one in found if one["cmd"] != "client|list" and not one["name"]}
