"""Redis Sentinel: the primary is found, and found again after a failover."""

import asyncio
import time
from typing import Any

import pytest
from services.proxy import Proxy
from services.sentinel import Watched

from fibonacci import BackendUnavailableError, MemoryConfig, StorageError, Workflow
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL
from fibonacci.testing.network import BlackHole
from fibonacci_redis import fibonacci_storage

SPACE = Space("t:sentinel:", "workflow", "w")
KEY = Address(SPACE, "k")


@pytest.mark.long
def test_failover_within_one_call(watched: Watched, open_client: Any) -> None:
    """The new primary is found within the deadline of one verb."""
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
def test_former_primary_is_not_written_to(watched: Watched, open_client: Any) -> None:
    """A primary that became a replica is not written to: the sentinels are queried again."""
    client = open_client(watched.url)
    client("write", KEY, b"1", None)
    before = watched.primary
    watched.sentinels[0]("SENTINEL", "FAILOVER", watched.service)
    wait_until(lambda: watched.primary is not before)
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


def test_unreachable_sentinel_is_skipped(watched: Watched, open_client: Any) -> None:
    """Sentinels that are unreachable are skipped; if all are, the error says so."""
    sentinel = watched.sentinels[0]
    url = f"redis+sentinel://127.0.0.1:1,{sentinel.host}:{sentinel.port}/{watched.service}"
    assert open_client(url)("read", KEY) is None
    with pytest.raises(BackendUnavailableError, match="can't connect to"):
        open_client(f"redis+sentinel://127.0.0.1:1/{watched.service}")("read", KEY)


def test_unknown_service_is_a_permanent_error(watched: Watched, open_client: Any) -> None:
    """A service that the sentinels do not know is a permanent error."""
    with pytest.raises(StorageError, match="knows no service 'other'") as raised:
        open_client(watched.url.replace(f"/{watched.service}/", "/other/"))("read", KEY)
    assert type(raised.value) is StorageError


def test_server_that_is_no_sentinel_is_an_error(watched: Watched, open_client: Any) -> None:
    """A server that is not a sentinel is an error."""
    primary = watched.primary
    with pytest.raises(StorageError):
        open_client(f"redis+sentinel://{primary.host}:{primary.port}/main")("read", KEY)


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_callers_share_one_search_and_one_connection(watched: Watched) -> None:
    """All tasks of a loop share one search and one connection, after each error, too."""
    primary, sentinel = watched.primary, watched.sentinels[0]
    other_clients = client_ids(primary)

    async def main(proxy: Proxy) -> None:
        url = f"redis+sentinel://{proxy.host}:{proxy.port}/{watched.service}"
        store: Any = fibonacci_storage(StoreSettings(url=StoreURL.parse(url))).create_async_store()
        for _ in range(3):
            with proxy.record() as traffic:
                reads = [store.read(KEY, deadline=time.monotonic() + 5) for _ in range(100)]
                assert await asyncio.gather(*reads) == [None] * 100
            assert traffic.connections == 1
            assert len(client_ids(primary) - other_clients) == 1
            for _ in range(2):
                store._topology._invalidate(store._topology._last)
        with proxy.fault(BlackHole()):
            reads = [store.read(KEY, deadline=time.monotonic() + s) for s in (0.2, 0.05)]
            results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in results] == [BackendUnavailableError] * 2
        await store.close()

    with Proxy(sentinel) as proxy:
        asyncio.run(main(proxy))
    wait_until(lambda: client_ids(primary) <= other_clients)


def test_close_during_search_opens_no_connection(watched: Watched) -> None:
    """A primary that is found after the store was closed gets no connection."""
    settings = StoreSettings(url=StoreURL.parse(watched.url))
    other_clients = client_ids(watched.primary)

    async def main() -> None:
        store: Any = fibonacci_storage(settings).create_async_store()
        read = asyncio.create_task(store.read(KEY, deadline=time.monotonic() + 5))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(BackendUnavailableError, match="was closed or replaced"):
            await read

    asyncio.run(main())
    assert client_ids(watched.primary) <= other_clients


def client_ids(server: Any) -> set[str]:
    """Return the ids of the clients that are connected to the server."""
    lines = server("CLIENT", "LIST", "TYPE", "normal").decode().splitlines()
    clients = [dict(word.split("=", 1) for word in line.split()) for line in lines]
    return {
        client["id"] for client in clients if client["cmd"] != "client|list" and not client["name"]
    }
