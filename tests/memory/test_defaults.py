"""The methods that a store need not define: defaults over seven primitives, sync and async."""

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from fibonacci import MemoryConfig, MemoryManager, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci._memory.thread_pool_store import ThreadLimits, ThreadPoolStore
from fibonacci.plugin import (
    ABSENT,
    KEEP_TTL,
    Absent,
    Address,
    KeepTTL,
    Page,
    Space,
    Store,
)
from fibonacci.plugin.storage import BlockingStore


class Primitive(Store):
    """A third party's store with the primitives alone; its pages are short."""

    def __init__(self) -> None:
        self.inner = LocalStore()
        self.lost = 0
        """How many compare-and-sets another writer wins."""
        self.is_closed = False

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return self.inner.read(address, deadline=deadline)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        self.inner.write(address, data, ttl_ms, deadline=deadline)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        self.lost -= 1
        return self.lost < 0 and self.inner.compare_and_set(
            address, expected, data, ttl_ms, deadline=deadline
        )

    def remove(self, address: Address, *, deadline: float) -> bool:
        return self.inner.remove(address, deadline=deadline)

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        return self.inner.remaining_ttl_ms(address, deadline=deadline)

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        return self.inner.scan(space, prefix=prefix, cursor=cursor, limit=2, deadline=deadline)

    def close(self) -> None:
        self.is_closed = True
        self.inner.close()


@pytest.fixture
def store() -> Primitive:
    """An empty store."""
    return Primitive()


@pytest.fixture
def memory(store: Primitive) -> MemoryManager:
    """A memory over the store."""
    return Workflow("w", MemoryConfig(store)).memory


def run_async(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of the coroutine, in a new event loop."""

    async def run() -> Any:
        return await coroutine

    return asyncio.run(run())


def test_default_batches_use_single_operations(memory: MemoryManager) -> None:
    """The default batch methods read, write and remove one record after the other."""
    values = {f"k{number}": number for number in range(5)}
    memory.set_many(values, ttl=60)
    assert memory.get_many([*values, "absent"]) == values
    assert run_async(memory.aget_many(values)) == values
    assert 0 < (memory.ttl("k0") or 0) <= 60
    assert memory.delete_many(["k0", "absent"]) == 1
    assert run_async(memory.adelete_many(["k1", "absent"])) == 1
    assert run_async(memory.aset_many({"k9": 9}))
    assert memory.list_keys() == ["k2", "k3", "k4", "k9"]


def test_default_clear_removes_all_pages(memory: MemoryManager) -> None:
    """The default clear() removes page after page, in sync and async code."""
    for clear in (lambda: memory.clear(), lambda: run_async(memory.aclear())):
        memory.set_many(dict.fromkeys("abcde", 0))
        assert clear()
        assert memory.list_keys() == []


def test_default_exists_uses_remaining_ttl(memory: MemoryManager) -> None:
    """The default exists() calls remaining_ttl_ms()."""
    memory.set("k", 1)
    assert memory.exists("k")
    assert not memory.exists("absent")


def test_default_touch_writes_the_value_back(memory: MemoryManager) -> None:
    """The default touch() writes the value back with the new expiry; no record stays no record."""
    memory.set("k", 1, ttl=0.05)
    assert memory.touch("k", 60)
    assert not memory.touch("absent", 60)
    time.sleep(0.06)
    assert memory.get("k") == 1


def test_default_touch_retries_after_a_conflict(memory: MemoryManager, store: Primitive) -> None:
    """The default touch() retries if another writer came between, in sync and async code."""
    memory.set("k", 1, ttl=5)
    store.lost = 3
    assert memory.touch("k", 60)
    store.lost = 3
    assert run_async(memory.atouch("k", 600))
    assert 60 < (memory.ttl("k") or 0) <= 600


def test_async_store_pauses_without_blocking(store: Primitive) -> None:
    """Between two tries the async mode lets the loop go on."""
    address = Address(Space("p:", "workflow", "w"), "k")

    async def run() -> int:
        blocking = BlockingStore(store)
        threaded = ThreadPoolStore(blocking, ThreadLimits(blocking))
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        await threaded.pause(6, address, deadline=math.inf)
        counting.cancel()
        await threaded.close()
        return turns

    assert asyncio.run(run()) > 0


def test_blocking_store_closes_its_store(store: Primitive) -> None:
    """A BlockingStore closes the store that it wraps."""
    asyncio.run(BlockingStore(store).close())
    assert store.is_closed


def test_repr_of_a_sentinel_is_its_name() -> None:
    """The repr of ABSENT and of KEEP_TTL is their name."""
    assert repr(ABSENT) == "ABSENT"
    assert repr(KEEP_TTL) == "KEEP_TTL"


def test_local_store_touches_no_absent_record(memory: MemoryManager) -> None:
    """The in-process store touches no absent record, and lists no expired one."""
    store = LocalStore()
    space = Space("p:", "workflow", "w")
    assert not store.touch(Address(space, "k"), 60, deadline=math.inf)
    store.write(Address(space, "k"), b"1", 1, deadline=math.inf)
    time.sleep(0.01)
    assert store.scan(space, deadline=math.inf) == Page([], None)
