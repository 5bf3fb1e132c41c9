"""rewrap() with concurrent writers, and over a failing connection, loses no change and ends."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from services.proxy import Proxy

from fibonacci import MemoryConfig, MemoryManager, StorageError, Workflow, generate_key

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

ON = ("memory", "sqlite", "redis", "postgres", "dynamodb")

OLD, NEW = generate_key(), generate_key()


def memory_of(config: MemoryConfig, *keys: str) -> MemoryManager:
    sealing: dict[str, Any] = {"encrypt_values": True, "encryption_key": keys}
    settings = MemoryConfig(
        config.backend, config.connection_url, config.key_prefix, timeout=20, **sealing
    )
    return Workflow("w", settings).memory


def test_rewrap_with_concurrent_writers(config: MemoryConfig) -> None:
    """Writers of both versions and two rewraps run at once: each change counts once (C16)."""
    fleet = [memory_of(config, OLD, NEW), memory_of(config, NEW, OLD)]
    keys = [f"n{number}" for number in range(3)]
    fleet[0].set_many(dict.fromkeys(keys, 0), ttl=900)
    enough = Event()

    def write(number: int) -> None:
        for turn in range(12):
            fleet[number % 2].increment(keys[turn % 3])

    def rewrap() -> None:
        while not enough.is_set():
            fleet[1].rewrap()

    async def rewrap_async() -> None:
        while not enough.is_set():
            await fleet[1].arewrap()

    with ThreadPoolExecutor(6) as threads:
        rewrapping = [threads.submit(rewrap)]
        rewrapping.append(threads.submit(lambda: asyncio.run(rewrap_async())))
        try:
            list(threads.map(write, range(4)))
        finally:
            enough.set()
    for one in rewrapping:
        one.result()
    fleet[1].rewrap()
    newest = memory_of(config, NEW)
    assert newest.get_many(keys) == dict.fromkeys(keys, 16)
    assert 800 < (newest.ttl("n0") or 0) <= 900


@pytest.mark.parametrize("kind", ["valkey", "postgres"])
def test_rewrap_over_a_failing_connection(kind: str, request: pytest.FixtureRequest) -> None:
    """A rewrap that broke off is called again, and does not redo what is done (C16, C20)."""
    server = request.getfixturevalue(f"{kind}_server")
    with Proxy(server) as proxy:
        backend, url = "redis", proxy.url
        if kind == "postgres":
            own = request.getfixturevalue("postgres_url")
            backend, url = "postgres", own.replace(f":{server.port}/", f":{proxy.port}/")
        config = MemoryConfig(backend, url, key_prefix=f"fire-{time.time_ns()}:")
        old, both = (memory_of(config, *keys) for keys in ([OLD], [NEW, OLD]))
        values = {f"k{number:03}": number for number in range(400)}
        old.set_many(values, ttl=900)
        enough = Event()

        def break_off() -> None:
            # With a limit: on a slow machine no request might succeed.
            for _ in range(200):
                if enough.wait(0.02):
                    break
                proxy.drop()

        calls, last = 0, None
        with ThreadPoolExecutor(1) as thread:
            breaking = thread.submit(break_off)
            try:
                while last is None and calls < 100:
                    calls += 1
                    try:
                        last = both.rewrap(progress=lambda *progress: proxy.drop())
                    except StorageError:
                        continue
            finally:
                enough.set()
            breaking.result()
        assert last is not None
        assert both.rewrap() == 0
        newest = memory_of(config, NEW)
        assert newest.get_many(values) == values
        assert 800 < (newest.ttl("k399") or 0) <= 900
        newest.clear()
        for memory in (old, both, newest):
            memory.close()
