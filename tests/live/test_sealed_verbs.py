"""Sealed values on every backend: atomic verbs with many writers, and key rotation."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fibonacci import DecryptionError, MemoryConfig, MemoryManager, Workflow, generate_key

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

ON = ("memory", "sqlite", "redis", "postgres", "dynamodb")

OLD, NEW = generate_key(), generate_key()


def memory_of(config: MemoryConfig, *keys: str, **fields: Any) -> MemoryManager:
    sealing = {"encrypt_values": True, "encryption_key": keys, **fields}
    settings = MemoryConfig(config.backend, config.connection_url, timeout=20, **sealing)
    return Workflow("w", settings).memory


def test_writers_with_different_keys_lose_nothing(config: MemoryConfig) -> None:
    """Threads and tasks with different keys change sealed records; each change counts (C16)."""
    fleet = [memory_of(config, OLD, NEW), memory_of(config, NEW, OLD)]

    def work(number: int) -> None:
        memory = fleet[number % 2]
        for turn in range(5):
            memory.append("turns", [number, turn])
            memory.increment("n")

    async def work_async() -> None:
        async def one(number: int) -> None:
            for turn in range(5):
                await fleet[number % 2].aappend("turns", [number, turn])
                await fleet[number % 2].aincrement("n")

        await asyncio.gather(*map(one, range(4, 8)))

    with ThreadPoolExecutor(5) as threads:
        done = [threads.submit(work, number) for number in range(4)]
        done.append(threads.submit(asyncio.run, work_async()))
        for one in done:
            one.result()
    assert fleet[0].get("n") == 40
    turns = fleet[1].get("turns")
    assert sorted(turns) == [[number, turn] for number in range(8) for turn in range(5)]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_every_atomic_verb(config: MemoryConfig, mode: str) -> None:
    """Every atomic verb works on sealed records, sync and async (C16, C24)."""
    memory = memory_of(config, OLD)

    async def use_async() -> list[Any]:
        return [
            await memory.aadd("k", [1]),
            await memory.aadd("k", [2]),
            await memory.aappend("k", 2, 3),
            await memory.aappend("k", 4, max_items=2),
            await memory.aupdate("k", lambda found: found[::-1]),
            await memory.aincrement("n", 2),
            await memory.aincrement("n", 0.5),
            await memory.aset_many({"a": 1, "b": None}),
            await memory.aget_many(["a", "b", "c"]),
            await memory.atouch("a", 600),
            await memory.adelete("a"),
        ]

    def use_sync() -> list[Any]:
        return [
            memory.add("k", [1]),
            memory.add("k", [2]),
            memory.append("k", 2, 3),
            memory.append("k", 4, max_items=2),
            memory.update("k", lambda found: found[::-1]),
            memory.increment("n", 2),
            memory.increment("n", 0.5),
            memory.set_many({"a": 1, "b": None}),
            memory.get_many(["a", "b", "c"]),
            memory.touch("a", 600),
            memory.delete("a"),
        ]

    results = use_sync() if mode == "sync" else asyncio.run(use_async())
    found = {"a": 1, "b": None}
    assert results == [True, False, 3, 2, [4, 3], 2, 2.5, True, found, True, True]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_key_rotation_while_a_fleet_reads(config: MemoryConfig, mode: str) -> None:
    """In a key rotation no read fails, expiries stay, and the old key can be dropped (C13, C24)."""
    oldest = memory_of(config, OLD)
    keys = [f"k{number:03}" for number in range(120)]
    oldest.set_many(dict.fromkeys(keys, "said"), ttl=900)
    oldest.set("stays", "said")

    def read_all(*fleet: MemoryManager) -> None:
        for memory in fleet:
            assert memory.get_many([*keys, "stays"]) == dict.fromkeys([*keys, "stays"], "said")

    both, promoted = memory_of(config, OLD, NEW), memory_of(config, NEW, OLD)
    read_all(oldest, both)
    oldest.set("k000", "said", ttl=900)
    read_all(both, promoted)
    promoted.set("k001", "said", ttl=900)
    read_all(both, promoted)
    if mode == "sync":
        changed = promoted.rewrap()
        assert promoted.rewrap() == 0
    else:
        changed = asyncio.run(promoted.arewrap())
        assert asyncio.run(promoted.arewrap()) == 0
    assert changed == 120
    newest = memory_of(config, NEW)
    read_all(both, promoted, newest)
    assert 800 < (newest.ttl("k050") or 0) <= 900
    assert newest.ttl("stays") == float("inf")
    with pytest.raises(DecryptionError):
        oldest.get("k000")


def test_a_plain_store_is_converted_in_place(config: MemoryConfig) -> None:
    """A plain store is converted without loss: write sealed, rewrap, then refuse plain (C25)."""
    plain = Workflow("w", config).memory
    plain.set_many({f"k{number}": [number] for number in range(20)}, ttl=900)
    memory = memory_of(config, NEW, plaintext_reads="allow")
    assert memory.append("k1", 2) == 2
    assert memory.get("k2") == [2]
    assert memory.plaintext_read_count == 2
    assert memory.rewrap() == 19
    strict = memory_of(config, NEW)
    assert len(strict.get_many(strict.list_keys())) == 20
    assert 800 < (strict.ttl("k3") or 0) <= 900
    with pytest.raises(DecryptionError):
        plain.get("k3")
