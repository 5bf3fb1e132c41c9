"""append() with max_items: the oldest items make room if a list exceeds its record (C10, C16)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ciphers import ToyCipher, plugin

from fibonacci import (
    FunctionNode,
    MemoryConfig,
    MemoryManager,
    MemoryWrite,
    NodeExecutionError,
    ValueTooLargeError,
    Workflow,
    register_plugin,
)
from fibonacci.plugin import Address

from .slow_store import SlowStore

LIMIT = 400


class Narrow(SlowStore):
    """A store with room for few bytes in a record."""

    def __init__(self, *, says: bool = True) -> None:
        super().__init__()
        self.latency = 0
        self.says = says

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        self._check(data)
        super().write(address, data, ttl_ms, deadline=deadline)

    def compare_and_set(self, address: Address, expected: Any, data: bytes, *args, **named) -> bool:
        self._check(data)
        return super().compare_and_set(address, expected, data, *args, **named)

    def _check(self, data: bytes) -> None:
        if len(data) > LIMIT:
            sizes = {"size": len(data), "limit": LIMIT} if self.says else {}
            raise ValueTooLargeError(f"{len(data)} bytes, of {LIMIT}", **sizes)


@pytest.fixture(params=["plain", "sealed"])
def store_and_memory(request):
    """A narrow store, and a memory over it, plain or sealed."""
    store = Narrow()
    fields = {"encrypt_values": True, "encryption_key": "key", "encryption": "toy"}
    with register_plugin("encryption", "toy", plugin(lambda settings: ToyCipher(settings.keys))):
        config = MemoryConfig(store, **(fields if request.param == "sealed" else {}))
        with Workflow("w", config) as workflow:
            yield store, workflow.memory


def narrow(*, says: bool = True) -> MemoryManager:
    return Workflow("w", MemoryConfig(Narrow(says=says))).memory


@pytest.mark.parametrize("item", ["x" * 70, "é" * 35, {"a": ["x" * 60]}, 2**70, 1.5, None])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_append_drops_as_few_oldest_items_as_needed(store_and_memory, item: Any, is_async: bool):
    """append() drops the oldest items, no more than needed, in one compare-and-set."""
    store, memory = store_and_memory
    count = 0
    for number in range(100):
        store.requests.clear()
        if is_async:
            count = asyncio.run(memory.aappend("k", [number, item], max_items=90))
        else:
            count = memory.append("k", [number, item], max_items=90)
        assert store.requests == ["read", "cas"]
    items = memory.get("k")
    assert items == [[number, item] for number in range(100 - count, 100)]
    assert count < 90
    with pytest.raises(ValueTooLargeError):
        memory.set("k", [[100 - count - 1, item], *items])


def test_append_keeps_all_new_items():
    """append() keeps all items of one call; a large one makes many old ones go."""
    memory = narrow()
    for number in range(30):
        memory.append("k", number, max_items=40)
    assert memory.append("k", "q" * 190, "a" * 190, max_items=40) == 6
    assert memory.get("k") == [26, 27, 28, 29, "q" * 190, "a" * 190]


@pytest.mark.parametrize("before", [[], [1, 2, 3]])
@pytest.mark.parametrize("items", [["x" * 500], ["x" * 250, "y" * 250]])
def test_append_of_too_large_items_is_refused(before: list[Any], items: list[str]):
    """append() of new items that are too large by themselves raises; the old items stay."""
    memory = narrow()
    memory.set("k", before)
    with pytest.raises(
        ValueTooLargeError, match=r"50\d bytes, of 400.*only the new items"
    ) as caught:
        memory.append("k", *items, max_items=20)
    assert (caught.value.size, caught.value.limit) == (501 + 3 * len(items), 400)
    assert memory.get("k") == before


def test_max_items_may_drop_new_items():
    """append() of more new items than max_items writes and measures only the newest ones."""
    memory = narrow()
    assert memory.append("k", "x" * 500, "y" * 300, max_items=1) == 1
    assert memory.get("k") == ["y" * 300]


def test_append_without_max_items_drops_nothing():
    """append() without max_items drops nothing, and the error mentions max_items."""
    memory = narrow()
    memory.set("k", ["x" * 300])
    with pytest.raises(
        ValueTooLargeError, match="With max_items, append drops the oldest"
    ) as caught:
        memory.append("k", "y" * 100)
    assert (caught.value.size, caught.value.limit) == (407, 400)
    with pytest.raises(ValueTooLargeError, match="These are only the new items"):
        memory.append("none", "y" * 500)
    with pytest.raises(ValueTooLargeError, match=r"407 bytes, of 400$"):
        memory.update("k", lambda turns: [*turns, "y" * 100])
    assert memory.get("k") == ["x" * 300]


def test_append_to_a_store_without_a_known_limit():
    """append() drops half of the old items until a store with an unknown limit accepts the list."""
    memory = narrow(says=False)
    memory.set("k", ["x" * 30] * 10)
    assert memory.append("k", "y" * 250, max_items=20) == 3
    assert memory.get("k") == ["x" * 30, "x" * 30, "y" * 250]


def test_append_at_the_limit_of_core():
    """append() drops old items at core's limit of 16 MiB too; other writers lose nothing."""
    store = SlowStore()
    memory = Workflow("w", MemoryConfig(store)).memory
    memory.set("k", ["a" * 8_000_000, "b" * 8_000_000])
    store.before_cas = lambda: memory.set("k", ["b" * 8_000_000, "c"])
    assert memory.append("k", "d" * 8_000_000, max_items=20) == 3
    assert [item[:1] for item in memory.get("k")] == ["b", "c", "d"]
    with pytest.raises(ValueTooLargeError, match=r"16,777,2\d\d bytes as JSON.*only the new items"):
        memory.append("k", "e" * 16_777_215, max_items=2)


def test_threads_append_to_a_full_list():
    """Threads that append to a full list each append once, and the newest items stay."""
    memory = narrow()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: memory.append("k", f"{number:070}", max_items=50), range(40)))
    items = [int(item) for item in memory.get("k")]
    assert len(items) == len(set(items)) == 5


@pytest.mark.parametrize("most", [20, None])
def test_node_appends_with_max_items(most: int | None):
    """memory_write in mode append uses max_items; without, the node's error mentions it."""
    workflow = Workflow("w", MemoryConfig(Narrow()))
    write: MemoryWrite = {"key": "k", "mode": "append"}
    if most:
        write["max_items"] = most
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.inputs["text"], memory_write=write))
    workflow.execute({"text": "x" * 300})
    if most:
        workflow.execute({"text": "y" * 300})
        assert workflow.memory.get("k") == ["y" * 300]
    else:
        with pytest.raises(NodeExecutionError, match="With max_items"):
            workflow.execute({"text": "y" * 300})
