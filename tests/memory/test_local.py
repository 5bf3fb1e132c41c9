"""The in-process store beyond the contract: its names, and the memory it frees."""

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow
from fibonacci._builtin import local
from fibonacci._builtin.local import LocalBackend, LocalStore
from fibonacci.plugin import Address, Space
from fibonacci.testing.threads import run_concurrently

SPACE = Space("p:", "workflow", "w")
NEVER = float("inf")


def test_store_is_shared_by_name() -> None:
    """A name has one store in the process, which keeps its data after all have closed (C22)."""
    with Workflow("w", MemoryConfig(connection_url="memory://shared")) as workflow:
        workflow.memory.set("k", 1)
    other = MemoryConfig(connection_url="memory://shared", timeout=1)
    assert Workflow("w", other).memory.get("k") == 1
    assert Workflow("w", MemoryConfig(connection_url="memory://Shared")).memory.get("k") is None


def test_write_sweeps_three_expired_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write with a ttl removes three expired records, and leaves further ones to the next."""
    now = [0.0]
    monkeypatch.setattr(local, "monotonic", lambda: now[0])
    store = LocalStore()
    old = [Address(SPACE, f"old{number}") for number in range(4)]
    for address in old:
        store.write(address, b"1", 1_000, deadline=NEVER)
    now[0] = 2.0
    store.write(Address(SPACE, "new"), b"1", 1_000, deadline=NEVER)
    assert list(store._records) == [old[3], Address(SPACE, "new")]


def test_compare_and_set_of_concurrent_threads() -> None:
    """compare_and_set() is atomic, whenever Python switches threads (C16)."""
    store, address = LocalStore(), Address(SPACE, "k")
    store.write(address, b"0", None, deadline=NEVER)

    def count() -> None:
        for _ in range(20_000):
            while True:
                found = store.read(address, deadline=NEVER) or b""
                new = b"%d" % (int(found) + 1)
                if store.compare_and_set(address, found, new, None, deadline=NEVER):
                    break

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run_concurrently([count] * 4)
    finally:
        sys.setswitchinterval(interval)
    assert store.read(address, deadline=NEVER) == b"80000"


def test_without_a_url() -> None:
    """No URL and memory:// both use the store without a name."""
    Workflow("local-store", MemoryConfig()).memory.set("k", 1)
    assert Workflow("local-store", MemoryConfig(connection_url="memory://")).memory.get("k") == 1
    Workflow("local-store").memory.clear()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "memory://name:80",
        "memory://user@name",
        "memory://name/path",
        "memory://one,two",
        "memory://name?create=true",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    """A URL with anything but a name is refused when the workflow is created."""
    with pytest.raises(ConfigurationError):
        Workflow("w", MemoryConfig(connection_url=url))


def test_expired_records_are_swept() -> None:
    """Expired records are removed when others are written, in any space."""
    store = LocalStore()
    for number in range(1_000):
        space = Space("p:", "user", f"u{number}")
        store.write(Address(space, "session"), b"1", 1, deadline=NEVER)
    time.sleep(0.01)
    store.write(Address(SPACE, "lasting"), b"1", None, deadline=NEVER)
    for number in range(1_000):
        store.write(Address(SPACE, f"new{number % 10}"), b"1", 60_000, deadline=NEVER)
    assert len(store._index.spaces) < 100
    assert len(store._records) == 11


def test_old_expiries_are_forgotten() -> None:
    """A record that is overwritten many times takes no more memory."""
    store = LocalStore()
    for number in range(1_000):
        store.write(Address(SPACE, "k"), b"%d" % number, 60_000, deadline=NEVER)
    store.write(Address(SPACE, "forever"), b"1", None, deadline=NEVER)
    store.write(Address(SPACE, "k"), b"last", 60_000, deadline=NEVER)
    assert len(store._index.expiry_heap) < 200
    store.clear(SPACE, deadline=NEVER)
    assert store._records == {}


def test_a_persisted_record_is_not_swept() -> None:
    """A record whose expiry was removed is not swept."""
    store = LocalStore()
    lasting, other = Address(SPACE, "lasting"), Address(SPACE, "other")
    store.write(lasting, b"1", 300, deadline=NEVER)
    store.touch(lasting, None, deadline=NEVER)
    time.sleep(0.35)
    store.write(other, b"1", 1, deadline=NEVER)
    assert store.read(lasting, deadline=NEVER) == b"1"
    time.sleep(0.01)
    store.write(Address(Space("p:", "global", ""), "k"), b"1", 1, deadline=NEVER)
    assert list(store._records) == [lasting, Address(Space("p:", "global", ""), "k")]


class Meanwhile(int):
    """Milliseconds that call a function when they are first read."""

    todo: list[Callable[[], object]]

    def __truediv__(self, other: object) -> float:
        if self.todo:
            self.todo.pop()()
        return int(self) / 1000


def test_a_concurrent_write_is_noticed() -> None:
    """A change notices a write that came after it read the record."""
    store, address, ttl = LocalStore(), Address(SPACE, "k"), Meanwhile(60_000)
    store.write(address, b"1", None, deadline=NEVER)
    ttl.todo = [lambda: store.write(address, b"2", None, deadline=NEVER)]
    assert not store.compare_and_set(address, b"1", b"3", ttl, deadline=NEVER)
    ttl.todo = [lambda: store.write(address, b"4", None, deadline=NEVER)]
    assert store.touch(address, ttl, deadline=NEVER)
    assert store.read(address, deadline=NEVER) == b"4"


def test_a_record_that_is_written_while_the_index_is_replaced() -> None:
    """A record is listed although the store's index was rebuilt meanwhile."""
    store, ttl = LocalStore(), Meanwhile(60_000)

    def fill() -> None:
        for number in range(100):
            store.write(Address(SPACE, f"gone{number}"), b"1", None, deadline=NEVER)
            store.remove(Address(SPACE, f"gone{number}"), deadline=NEVER)

    ttl.todo = [fill]
    store.write(Address(SPACE, "k"), b"1", ttl, deadline=NEVER)
    assert store.scan(SPACE, deadline=NEVER).keys == ["k"]


@pytest.mark.parametrize("verb", ["remove", "clear"])
def test_empty_spaces_are_freed(verb: str) -> None:
    """Spaces without records take no memory, except for a few."""
    store = LocalStore()
    for number in range(1_000):
        address = Address(Space("p:", "user", f"u{number}"), "k")
        store.write(address, b"1", None, deadline=NEVER)
        if verb == "remove":
            assert store.remove(address, deadline=NEVER)
        else:
            store.clear(address.space, deadline=NEVER)
        assert store.scan(address.space, deadline=NEVER).keys == []
    assert store._records == {}
    assert len(store._index.spaces) < 100


def test_async_pauses_do_not_block_the_loop() -> None:
    """A change that waits for others does not block the event loop."""
    backend = LocalBackend(LocalStore())
    address = Address(SPACE, "k")

    async def use() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        await backend.create_async_store().pause(6, address, deadline=NEVER)
        counting.cancel()
        return turns

    assert asyncio.run(use()) > 0
