"""Known pitfalls of other stores do not occur here, on any backend."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fibonacci import CorruptRecordError, MemoryConfig, SerializationError, Workflow
from fibonacci._memory.store_handle import stores_of
from fibonacci.plugin import Address, Space, run_sync

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

ON = ("memory", "sqlite", "redis", "postgres")


def memory_of(config: MemoryConfig, name: str = "w") -> Any:
    return Workflow(name, config).memory


def test_ttl_below_a_minute(config: MemoryConfig) -> None:
    """A ttl of 24 seconds lasts 24 seconds, and reads neither shorten nor refresh it (C11, C13)."""
    memory = memory_of(config)
    memory.set("k", 1, ttl=24)
    assert memory.get("k") == 1
    assert 20 < memory.ttl("k") <= 24
    memory.get("k")
    assert 20 < memory.ttl("k") <= 24


def test_expired_record_that_was_not_swept_is_absent(config: MemoryConfig) -> None:
    """An expired record is not returned, listed, counted or updated (C12)."""
    memory = memory_of(config)
    memory.set("k", [1], ttl=0.05)
    time.sleep(0.1)
    assert memory.get("k") is None
    assert memory.list_keys() == []
    assert memory.get_many(["k"]) == {}
    assert memory.append("k", 2) == 1


def test_concurrent_appends_and_updates_all_count(config: MemoryConfig) -> None:
    """Twenty appends and twenty updates by each of eight threads leave 160 and 160 (C16)."""
    memory = memory_of(config)

    def work(_: int) -> None:
        for number in range(20):
            memory.append("turns", number)
            memory.update("sum", lambda found: found + 1, default=0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(memory.get("turns")) == 160
    assert memory.get("sum") == 160


def test_values_are_copies(config: MemoryConfig) -> None:
    """Changing an object after set(), or one from get(), changes no record (C7)."""
    memory, value = memory_of(config), {"list": [1]}
    memory.set("k", value)
    value["list"].append(2)
    memory.get("k")["list"].append(3)
    assert memory.get("k") == {"list": [1]}


def test_invalid_json_is_refused_by_every_backend(config: MemoryConfig) -> None:
    """Every backend refuses the same values, so code tested on one works on another (C7)."""
    memory = memory_of(config)
    for value in ({1, 2}, b"bytes", {1: "key"}, float("nan"), object()):
        with pytest.raises(SerializationError):
            memory.set("k", value)
    assert not memory.exists("k")


def test_long_listing_is_complete(config: MemoryConfig) -> None:
    """12,000 keys are listed, each once, in order (C14)."""
    memory = memory_of(config)
    keys = sorted(f"k{number}" for number in range(12_000))
    for start in range(0, len(keys), 2_000):
        memory.set_many(dict.fromkeys(keys[start : start + 2_000], 1))
    assert memory.list_keys() == keys
    assert memory.clear() is True
    assert memory.list_keys() == []


def test_similar_user_ids_are_separate(config: MemoryConfig) -> None:
    """Listing and clearing one user's records leaves those of all similar ids (C1, C6)."""
    memory, others = memory_of(config), ["a1", "alice", "ab", "a", "a::b::k"]
    for user in ("a[1]", "a*", "a?", "al", "a%", "a_", "a'; --", "a::b"):
        for owner in (*others, user):
            memory.set("b::k", owner, scope="user", user_id=owner)
        assert memory.list_keys(scope="user", user_id=user) == ["b::k"], user
        memory.clear(scope="user", user_id=user)
        for owner in others:
            assert memory.get("b::k", scope="user", user_id=owner) == owner, user


def test_separators_in_ids_and_keys(config: MemoryConfig) -> None:
    """User "a" with key "b::k" and user "a::b" with key "k" are two records (C1)."""
    memory = memory_of(config)
    for owner, key in (("a", "b::k"), ("a::b", "k"), ("a:b", "k"), ("a", "b:k")):
        memory.set(key, [owner, key], scope="user", user_id=owner)
    for owner, key in (("a", "b::k"), ("a::b", "k"), ("a:b", "k"), ("a", "b:k")):
        assert memory.get(key, scope="user", user_id=owner) == [owner, key]
    memory.clear(scope="user", user_id="a")
    assert memory.get("k", scope="user", user_id="a::b") == ["a::b", "k"]


def test_clear_leaves_records_of_other_applications(config: MemoryConfig) -> None:
    """Clearing leaves records with another prefix, workflow or scope (C6)."""
    memory = memory_of(config)
    elsewhere = Workflow(
        "w", MemoryConfig(config.backend, config.connection_url, key_prefix="other:")
    ).memory
    for one in (memory, elsewhere, memory_of(config, "w2")):
        one.set("k", 1)
    memory.set("k", 1, scope="global")
    memory.clear()
    assert memory.list_keys() == []
    assert elsewhere.get("k") == memory_of(config, "w2").get("k") == 1
    assert memory.get("k", scope="global") == 1


def test_invalid_json_bytes_are_no_miss(config: MemoryConfig) -> None:
    """Bytes that are not JSON raise CorruptRecordError, whatever the default is (C8)."""
    memory = memory_of(config)
    address = Address(Space(config.key_prefix, "workflow", "w"), "k")
    store = stores_of(memory).sync_store
    run_sync(store.write(address, b"{oops", None, deadline=time.monotonic() + 5))
    with pytest.raises(CorruptRecordError):
        memory.get("k", default="a miss")


def test_successive_event_loops(config: MemoryConfig) -> None:
    """One memory serves several event loops, one after the other (C21)."""
    memory = memory_of(config)

    async def turn(number: int) -> int:
        return await memory.aappend("turns", number)

    assert [asyncio.run(turn(number)) for number in range(3)] == [1, 2, 3]
