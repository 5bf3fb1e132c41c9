"""Which memories share a store, and when it is let go (C21, C22)."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fibonacci import MemoryConfig, StorageError, Workflow, register_plugin
from fibonacci._memory import store_registry
from fibonacci.plugin import (
    ABSENT,
    Absent,
    Address,
    AsyncStore,
    Backend,
    KeepTTL,
    Page,
    Space,
    Store,
    StoreSettings,
    hookimpl,
)
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.storage import BlockingStore


class Drawer(Store):
    """A third party's store, which knows when it was closed."""

    def __init__(self) -> None:
        self.records: dict[Address, bytes] = {}
        self.closed = 0

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return self.records.get(address)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, **_: float) -> None:
        self.records[address] = data

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        **_: float,
    ) -> bool:
        if self.records.get(address, ABSENT) != expected:
            return False
        self.records[address] = data
        return True

    def remove(self, address: Address, *, deadline: float) -> bool:
        return self.records.pop(address, None) is not None

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> Absent | None:
        return None if address in self.records else ABSENT

    def scan(self, space: Space, *, prefix: str = "", **_: Any) -> Page:
        keys = (address.key for address in self.records if address.space == space)
        return Page(sorted(key for key in keys if key.startswith(prefix)), None)

    def close(self) -> None:
        self.closed += 1


class AsyncDrawer(AsyncStore):
    """The same in async code, bound to the loop that it was made in."""

    def __init__(self, drawer: Drawer) -> None:
        self.drawer = drawer
        self.loop = asyncio.get_running_loop()
        self.closed_in: list[asyncio.AbstractEventLoop] = []

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        assert asyncio.get_running_loop() is self.loop
        return self.drawer.read(address, deadline=deadline)

    async def write(self, address: Address, data: bytes, ttl_ms: int | None, **_: float) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.drawer.write(address, data, ttl_ms)

    async def compare_and_set(self, address: Address, *args: Any, **kwargs: Any) -> bool:
        return self.drawer.compare_and_set(address, *args, **kwargs)

    async def remove(self, address: Address, *, deadline: float) -> bool:
        return self.drawer.remove(address, deadline=deadline)

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> Absent | None:
        return self.drawer.remaining_ttl_ms(address, deadline=deadline)

    async def scan(self, space: Space, **kwargs: Any) -> Page:
        return self.drawer.scan(space, **kwargs)

    async def close(self) -> None:
        self.closed_in.append(asyncio.get_running_loop())


class Cabinet(Backend):
    """Counts what is asked of it."""

    def __init__(self, native: bool, identity: Any = None) -> None:
        self.native = native
        self.identity = identity
        self.drawers: list[Drawer] = []
        self.async_drawers: list[AsyncDrawer] = []

    def create_store(self) -> Store:
        self.drawers.append(Drawer())
        return self.drawers[-1]

    def create_async_store(self) -> AsyncStore | None:
        if not self.native:
            return None
        self.async_drawers.append(AsyncDrawer(Drawer()))
        return self.async_drawers[-1]


class Plugin:
    """The plugin ``cabinet``; it keeps the backends that it made."""

    FIBONACCI_SPEC_VERSION = 1

    def __init__(self, native: bool = False) -> None:
        self.native = native
        self.made: list[Cabinet] = []
        self.identity: Any = None

    @hookimpl
    def fibonacci_storage(self, settings: StoreSettings) -> Backend:
        self.made.append(Cabinet(self.native, self.identity))
        return self.made[-1]

    @property
    def used(self) -> int:
        """How many of the backends were connected to."""
        return sum(bool(one.drawers or one.async_drawers) for one in self.made)


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    """A plugin with a sync store alone."""
    plugin = Plugin()
    with register_plugin("storage", "cabinet", plugin):
        yield plugin


@pytest.fixture
def native() -> Iterator[Plugin]:
    """A plugin with stores in sync and async code."""
    plugin = Plugin(native=True)
    with register_plugin("storage", "cabinet", plugin):
        yield plugin


def cabinet(name: str = "w", **settings: Any) -> Workflow:
    """A workflow over the plugin."""
    settings.setdefault("connection_url", "cabinet://u:secret@host/1")
    return Workflow(name, MemoryConfig("cabinet", **settings))


def test_connects_when_it_is_used(plugin: Plugin) -> None:
    """Making a workflow connects to nothing; the first verb does, once (C21)."""
    memory = cabinet().memory
    assert plugin.made[0].drawers == []
    memory.set("k", 1)
    memory.get("k")
    assert len(plugin.made[0].drawers) == 1


def test_equal_settings_share(plugin: Plugin) -> None:
    """Workflows of equal settings share a store, whatever their prefix and ttl (C22)."""
    url = "cabinet://u:secret@host/1?a=1&b=2"
    one = cabinet("one", connection_url=url, options={"x": [1, {"y": 2}]})
    other = cabinet(
        "other",
        connection_url="CABINET://u:secret@host/1?b=2&a=1",
        options={"x": [1, {"y": 2}]},
        key_prefix="p:",
        default_ttl=5,
    )
    one.memory.set("k", 1)
    other.memory.set("k", 1)
    assert plugin.used == 1
    assert len(plugin.made[0].drawers) == 1


@pytest.mark.parametrize(
    "identity", [{"identity": "here"}, {"identity": ("here", 1)}], ids=["text", "tuple"]
)
def test_a_backend_tells_what_is_the_same(plugin: Plugin, identity: dict[str, Any]) -> None:
    """Two spellings share a store where the backend says that they mean one place (C22)."""
    plugin.identity = identity["identity"]
    one, other = cabinet(connection_url="cabinet://a"), cabinet(connection_url="cabinet://b")
    one.memory.set("k", 1)
    assert other.memory.get("k") == 1
    assert cabinet(connection_url="cabinet://a", timeout=1.0).memory.get("k") is None
    assert plugin.used == 2


@pytest.mark.parametrize(
    "different",
    [
        {"connection_url": "cabinet://u:other@host/1"},
        {"connection_url": "cabinet://u:secret@host/2"},
        {"connection_url": "cabinet://u:secret@host/1?a=1"},
        {"timeout": 1.0},
        {"options": {"x": 1}},
        {"options": {"x": True}},
        {"options": {"x": object()}},
    ],
)
def test_other_settings_do_not_share(plugin: Plugin, different: dict[str, Any]) -> None:
    """Another password, path, option or timeout is another store (C22)."""
    keep = [cabinet(), cabinet(**different)]
    for workflow in keep:
        workflow.memory.set("k", 1)
    assert plugin.used == 2


def test_last_one_closes(plugin: Plugin) -> None:
    """The store is closed with the last memory that holds it, and once (C22)."""
    one, other = cabinet("one"), cabinet("other")
    one.memory.set("k", 1)
    (drawer,) = plugin.made[0].drawers
    one.close()
    one.close()
    other.memory.set("k", 1)
    assert drawer.closed == 0
    other.close()
    assert drawer.closed == 1
    assert cabinet().memory.get("k") is None
    assert plugin.used == 2


def test_store_goes_with_the_memory(plugin: Plugin) -> None:
    """A memory that nobody refers to any more lets go of its store, the workflow or not (C22)."""
    memory = cabinet().memory
    memory.set("k", 1)
    gc.collect()
    (drawer,) = plugin.made[0].drawers
    assert drawer.closed == 0
    view = memory.for_user("u")
    del memory
    assert drawer.closed == 0
    view.set("k", 1)
    del view
    assert drawer.closed == 1


def test_given_store_is_never_closed() -> None:
    """A Store as backend is shared by identity, and its owner's to close (C22)."""
    drawer = Drawer()
    with Workflow("w", MemoryConfig(drawer)) as one, Workflow("w", MemoryConfig(drawer)) as other:
        one.memory.set("k", 1)
        assert other.memory.get("k") == 1
        assert asyncio.run(other.memory.aget("k")) == 1
    assert drawer.closed == 0


def test_plugins_of_one_name_do_not_share(plugin: Plugin) -> None:
    """Another plugin of the same name has stores of its own."""
    keep = cabinet()
    keep.memory.set("k", 1)
    with register_plugin("storage", "cabinet", Plugin()) as registered:
        assert cabinet().memory.get("k") is None
        registered.undo()
        assert cabinet().memory.get("k") == 1
    assert plugin.used == 1


def test_threads_connect_once(plugin: Plugin) -> None:
    """Threads that use a memory for the first time at once connect one store (C21)."""
    memory = cabinet().memory
    start = threading.Barrier(16)

    def use() -> None:
        start.wait()
        memory.set("k", 1)

    threads = [threading.Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plugin.made[0].drawers) == 1


def test_sync_store_is_awaited_in_threads(plugin: Plugin) -> None:
    """Without an async store of its own, a backend's calls run in worker threads."""
    memory = cabinet().memory

    async def use() -> list[Any]:
        await memory.aset("k", [1])
        await memory.aappend("k", 2)
        return [
            await memory.aget("k"),
            await memory.alist_keys(),
            await memory.aget_many(["k"]),
            await memory.attl("k"),
            await memory.adelete("k"),
        ]

    assert asyncio.run(use()) == [[1, 2], ["k"], {"k": [1, 2]}, float("inf"), True]
    assert asyncio.run(memory.aexists("k")) is False
    assert len(plugin.made[0].drawers) == 1
    asyncio.run(memory.aclose())
    assert plugin.made[0].drawers[0].closed == 1


def test_an_async_store_for_each_loop(native: Plugin) -> None:
    """Several loops in a row have a store each, which is closed when its loop ends (C21)."""
    memory = cabinet().memory
    for _ in range(3):
        asyncio.run(memory.aset("k", 1))
    stores = native.made[0].async_drawers
    assert len({store.loop for store in stores}) == 3
    assert [store.closed_in for store in stores] == [[store.loop] for store in stores]
    assert native.made[0].drawers == []


def test_a_loop_that_is_closed_without_notice(native: Plugin) -> None:
    """The store of a loop that closed no generators is closed when the next loop comes (C21)."""
    memory = cabinet().memory
    loop = asyncio.new_event_loop()
    loop.run_until_complete(memory.aset("k", 1))
    loop.close()
    asyncio.run(memory.aset("k", 2))
    first, _ = native.made[0].async_drawers
    assert len(first.closed_in) == 1


def test_loops_side_by_side(native: Plugin) -> None:
    """Two loops in two threads use one memory at once (C21)."""
    memory = cabinet().memory
    start = threading.Barrier(2)

    async def use() -> None:
        for number in range(100):
            await memory.aset(f"k{number}", number)
            assert await memory.aget(f"k{number}") == number

    def loop() -> None:
        start.wait()
        asyncio.run(use())

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(native.made[0].async_drawers) == 2


def test_aclose_closes_in_the_loop(native: Plugin) -> None:
    """aclose awaits the close of the running loop's store (C22)."""

    async def use() -> None:
        async with cabinet() as workflow:
            await workflow.memory.aset("k", 1)

    asyncio.run(use())
    (store,) = native.made[0].async_drawers
    assert store.closed_in == [store.loop]


def test_close_leaves_it_to_the_loop(native: Plugin) -> None:
    """close, and the death of the memory, have each store closed by the loop that it is of."""

    async def use(close: bool) -> None:
        workflow = cabinet()
        await workflow.memory.aset("k", 1)
        if close:
            workflow.close()
        del workflow
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    for close in (True, False):
        asyncio.run(use(close))
        store = native.made[-1].async_drawers[0]
        assert store.closed_in == [store.loop]


def test_store_of_a_closed_loop_is_dropped(native: Plugin) -> None:
    """A store that was closed with its loop is not closed again (C21)."""
    workflow = cabinet()
    asyncio.run(workflow.memory.aset("k", 1))
    workflow.close()
    (store,) = native.made[0].async_drawers
    assert store.closed_in == [store.loop]


def test_aclose_from_another_loop(native: Plugin) -> None:
    """aclose in one loop leaves the store of another loop to that loop (C22)."""
    workflow = cabinet()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(workflow.memory.aset("k", 1))
    asyncio.run(workflow.aclose())
    asyncio.run(workflow.aclose())
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    (store,) = native.made[0].async_drawers
    assert store.closed_in == [loop]


def test_closing_one_of_two_from_a_loop(native: Plugin) -> None:
    """aclose of one memory leaves the store to the other (C22)."""

    async def use() -> None:
        other = cabinet("other")
        async with cabinet() as workflow:
            await workflow.memory.aset("k", 1)
        await other.memory.aset("k", 2)
        assert await other.memory.aget("k") == 2
        await other.aclose()
        with pytest.raises(StorageError):
            await other.memory.aget("k")

    asyncio.run(use())


def test_sync_verbs_inside_a_loop(native: Plugin) -> None:
    """Sync verbs work where a loop runs, without it (C21)."""

    async def use() -> int:
        memory = cabinet().memory
        memory.set("k", 1)
        return memory.increment("k", 1)

    assert asyncio.run(use()) == 2


def test_cancelled_caller(plugin: Plugin) -> None:
    """A caller that is cancelled while a thread works for it leaves the memory usable (C21)."""
    memory = cabinet().memory

    async def use() -> Any:
        task = asyncio.ensure_future(memory.aset("k", 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await memory.aset("j", 2)
        return await memory.aget("j")

    assert asyncio.run(use()) == 2


def test_collector_in_a_thread_that_others_wait_for(plugin: Plugin) -> None:
    """A memory that is collected while another thread connects hangs neither (C22)."""
    lock, connecting = threading.Lock(), threading.Event()

    class Slow(Cabinet):
        def create_store(self) -> Store:
            connecting.set()
            with lock:
                return super().create_store()

    cyclic = cabinet("cyclic", connection_url="cabinet://other")
    cyclic.itself = cyclic  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    cyclic.memory.set("k", 1)
    (drawer,) = plugin.made[0].drawers
    slow = cabinet("slow")
    slow.memory._means.handle._current.backend = Slow(native=False)
    with lock:
        thread = threading.Thread(target=slow.memory.set, args=("k", 1))
        thread.start()
        assert connecting.wait(60)
        del cyclic
        gc.collect()
    thread.join(60)
    assert not thread.is_alive()
    assert drawer.closed == 1


def test_word_of_the_collector_is_read_by_who_has_the_lock(plugin: Plugin) -> None:
    """What the collector could not do at once, the thread that has the registry does (C22)."""
    workflow = cabinet()
    workflow.memory.set("k", 1)
    (drawer,) = plugin.made[0].drawers
    with store_registry.locked():
        finalizer = workflow.memory._means.handle._finalizer
        thread = threading.Thread(target=finalizer)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert drawer.closed == 0
    assert drawer.closed == 1


def test_closing_during_a_change(plugin: Plugin) -> None:
    """A change that is under way when its memory closes ends as StorageError (C22)."""

    class Lost(Drawer):
        def compare_and_set(self, *args: Any, **kwargs: Any) -> bool:
            return False

    async def use() -> None:
        memory = Workflow("w", MemoryConfig(Lost())).memory
        task = asyncio.ensure_future(memory.aincrement("k"))
        await asyncio.sleep(0.02)
        memory.close()
        with pytest.raises(StorageError, match="was closed"):
            await task

    asyncio.run(use())


def test_store_that_fails_to_close(native: Plugin) -> None:
    """A store that fails to close is told as ours, and the others are closed all the same."""

    class Stuck(Drawer):
        def close(self) -> None:
            raise OSError("cabinet://u:secret@host is stuck")

    async def use() -> None:
        workflow = cabinet()
        workflow.memory._means.handle._current._store = BlockingStore(Stuck())
        await workflow.memory.aset("k", 1)
        with pytest.raises(StorageError, match=r"failed to close: OSError, in line \d+ of [\w.]+$"):
            await workflow.aclose()

    asyncio.run(use())
    (store,) = native.made[0].async_drawers
    assert store.closed_in == [store.loop]


def test_connecting_after_the_last_let_go(native: Plugin) -> None:
    """A store that nobody holds is not connected to any more, in either mode (C22)."""
    workflow = cabinet()
    shared, side = workflow.memory._means.handle._current, workflow.memory._means.handle.sync
    unconnected = side.store
    workflow.close()
    with pytest.raises(StorageError, match="was closed"):
        unconnected.read(None)

    async def use() -> None:
        with pytest.raises(StorageError, match="was closed"):
            shared.async_store()

    asyncio.run(use())


def test_two_threads_meet_at_the_first_verb(plugin: Plugin) -> None:
    """The thread that connects second takes what the first one made (C21)."""
    memory = cabinet().memory
    side = memory._means.handle.sync
    first, second = side.store, side.store
    run_sync(first.write(None, b"", None, deadline=0))
    connected = side.store
    run_sync(second.write(None, b"", None, deadline=0))
    assert side.store is connected
