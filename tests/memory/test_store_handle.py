"""Which memories share a store, and when it is closed (C21, C22)."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fibonacci import MemoryConfig, StorageError, Workflow, register_plugin
from fibonacci._memory import store_registry
from fibonacci._memory.store_handle import stores_of
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
from fibonacci.testing.threads import run_concurrently


class Drawer(Store):
    """A third party's store that counts how often it was closed."""

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
    """A third party's async store, bound to the loop that it was created in."""

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
    """A backend that keeps the stores it created."""

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
    """The plugin ``cabinet``; it keeps the backends that it created."""

    FIBONACCI_SPEC_VERSION = 1

    def __init__(self, native: bool = False) -> None:
        self.native = native
        self.backends: list[Cabinet] = []
        self.identity: Any = None

    @hookimpl
    def fibonacci_storage(self, settings: StoreSettings) -> Backend:
        self.backends.append(Cabinet(self.native, self.identity))
        return self.backends[-1]

    @property
    def used(self) -> int:
        """How many of the backends have created stores."""
        return sum(bool(backend.drawers or backend.async_drawers) for backend in self.backends)


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    """A plugin with sync stores only."""
    plugin = Plugin()
    with register_plugin("storage", "cabinet", plugin):
        yield plugin


@pytest.fixture
def native() -> Iterator[Plugin]:
    """A plugin with sync and async stores."""
    plugin = Plugin(native=True)
    with register_plugin("storage", "cabinet", plugin):
        yield plugin


def cabinet(name: str = "w", **settings: Any) -> Workflow:
    """A workflow over the plugin."""
    settings.setdefault("connection_url", "cabinet://u:secret@host/1")
    return Workflow(name, MemoryConfig("cabinet", **settings))


def cabinet_of(backend: Backend) -> Workflow:
    """A workflow over this backend."""
    workflow = cabinet()
    workflow.memory._context.handle._current.backend = backend
    return workflow


def test_first_operation_connects(plugin: Plugin) -> None:
    """A new workflow does not connect; its first operation does, once (C21)."""
    memory = cabinet().memory
    assert plugin.backends[0].drawers == []
    memory.set("k", 1)
    memory.get("k")
    assert len(plugin.backends[0].drawers) == 1


def test_equal_settings_share_a_store(plugin: Plugin) -> None:
    """Workflows with equal settings share a store, whatever their prefix and ttl (C22)."""
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
    assert len(plugin.backends[0].drawers) == 1


@pytest.mark.parametrize(
    "identity", [{"identity": "here"}, {"identity": ("here", 1)}], ids=["text", "tuple"]
)
def test_equal_identities_share_a_store(plugin: Plugin, identity: dict[str, Any]) -> None:
    """Two URLs share a store if their backends have the same identity (C22)."""
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
def test_different_settings_do_not_share_a_store(plugin: Plugin, different: dict[str, Any]) -> None:
    """Another password, path, option or timeout means another store (C22)."""
    keep = [cabinet(), cabinet(**different)]
    for workflow in keep:
        workflow.memory.set("k", 1)
    assert plugin.used == 2


def test_last_memory_closes_the_store(plugin: Plugin) -> None:
    """A shared store is closed once, with the last memory that uses it (C22)."""
    one, other = cabinet("one"), cabinet("other")
    one.memory.set("k", 1)
    (drawer,) = plugin.backends[0].drawers
    one.close()
    one.close()
    other.memory.set("k", 1)
    assert drawer.closed == 0
    other.close()
    assert drawer.closed == 1
    assert cabinet().memory.get("k") is None
    assert plugin.used == 2


def test_collected_memory_closes_the_store(plugin: Plugin) -> None:
    """A store is closed when nothing refers to its memory, or to a view of it, any more (C22)."""
    memory = cabinet().memory
    memory.set("k", 1)
    gc.collect()
    (drawer,) = plugin.backends[0].drawers
    assert drawer.closed == 0
    view = memory.for_user("u")
    del memory
    assert drawer.closed == 0
    view.set("k", 1)
    del view
    assert drawer.closed == 1


def test_store_of_the_user_is_never_closed() -> None:
    """A Store passed as backend is shared, and left open: its owner closes it (C22)."""
    drawer = Drawer()
    with Workflow("w", MemoryConfig(drawer)) as one, Workflow("w", MemoryConfig(drawer)) as other:
        one.memory.set("k", 1)
        assert other.memory.get("k") == 1
        assert asyncio.run(other.memory.aget("k")) == 1
    assert drawer.closed == 0


def test_plugins_of_one_name_do_not_share_a_store(plugin: Plugin) -> None:
    """Two plugins of the same name have a store each."""
    keep = cabinet()
    keep.memory.set("k", 1)
    with register_plugin("storage", "cabinet", Plugin()) as registered:
        assert cabinet().memory.get("k") is None
        registered.undo()
        assert cabinet().memory.get("k") == 1
    assert plugin.used == 1


def test_threads_connect_once(plugin: Plugin) -> None:
    """Threads whose first operations run at the same time connect one store (C21)."""
    memory = cabinet().memory
    run_concurrently([lambda: memory.set("k", 1)] * 16)
    assert len(plugin.backends[0].drawers) == 1


def test_async_operations_on_a_sync_store(plugin: Plugin) -> None:
    """A backend without async stores serves async operations, in worker threads."""
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
    assert len(plugin.backends[0].drawers) == 1
    asyncio.run(memory.aclose())
    assert plugin.backends[0].drawers[0].closed == 1


def test_an_async_store_for_each_loop(native: Plugin) -> None:
    """Each event loop has its own async store, which is closed when the loop ends (C21)."""
    memory = cabinet().memory
    for _ in range(3):
        asyncio.run(memory.aset("k", 1))
    stores = native.backends[0].async_drawers
    assert len({store.loop for store in stores}) == 3
    assert [store.closed_in for store in stores] == [[store.loop] for store in stores]
    assert native.backends[0].drawers == []


def test_store_of_a_closed_loop_is_closed_later(native: Plugin) -> None:
    """The store of a loop that closed no generators is closed from the next loop (C21)."""
    memory = cabinet().memory
    loop = asyncio.new_event_loop()
    loop.run_until_complete(memory.aset("k", 1))
    loop.close()
    asyncio.run(memory.aset("k", 2))
    first, _ = native.backends[0].async_drawers
    assert len(first.closed_in) == 1


def test_concurrent_loops_have_a_store_each(native: Plugin) -> None:
    """Two loops in two threads can use one memory at the same time (C21)."""
    memory = cabinet().memory

    async def use() -> None:
        for number in range(100):
            await memory.aset(f"k{number}", number)
            assert await memory.aget(f"k{number}") == number

    run_concurrently([lambda: asyncio.run(use())] * 2)
    assert len(native.backends[0].async_drawers) == 2


def test_aclose_closes_in_the_loop(native: Plugin) -> None:
    """aclose() closes the store of the running loop before it returns (C22)."""

    async def use() -> None:
        async with cabinet() as workflow:
            await workflow.memory.aset("k", 1)

    asyncio.run(use())
    (store,) = native.backends[0].async_drawers
    assert store.closed_in == [store.loop]


def test_stores_of_loops_are_closed_in_their_loops(native: Plugin) -> None:
    """close(), and the collection of a memory, have each loop close its store."""

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
        store = native.backends[-1].async_drawers[0]
        assert store.closed_in == [store.loop]


def test_store_is_closed_once(native: Plugin) -> None:
    """A store that was closed with its loop is not closed again (C21)."""
    workflow = cabinet()
    asyncio.run(workflow.memory.aset("k", 1))
    workflow.close()
    (store,) = native.backends[0].async_drawers
    assert store.closed_in == [store.loop]


def test_aclose_leaves_stores_of_other_loops_to_them(native: Plugin) -> None:
    """aclose() in one loop has another loop close its store by itself (C22)."""
    workflow = cabinet()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(workflow.memory.aset("k", 1))
    asyncio.run(workflow.aclose())
    asyncio.run(workflow.aclose())
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    (store,) = native.backends[0].async_drawers
    assert store.closed_in == [loop]


def test_aclose_leaves_a_shared_store_open(native: Plugin) -> None:
    """aclose() of one memory leaves the store open if another memory uses it (C22)."""

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


def test_sync_operations_inside_a_loop(native: Plugin) -> None:
    """Sync operations work in a thread whose event loop is running (C21)."""

    async def use() -> int:
        memory = cabinet().memory
        memory.set("k", 1)
        return memory.increment("k", 1)

    assert asyncio.run(use()) == 2


def test_memory_works_after_a_cancelled_call(plugin: Plugin) -> None:
    """A memory stays usable after a task was cancelled while a thread ran its call (C21)."""
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


def test_garbage_collection_waits_for_no_lock(plugin: Plugin) -> None:
    """A memory can be collected while another thread connects; neither thread hangs (C22)."""
    lock, connecting = threading.Lock(), threading.Event()

    class Slow(Cabinet):
        def create_store(self) -> Store:
            connecting.set()
            with lock:
                return super().create_store()

    cyclic = cabinet("cyclic", connection_url="cabinet://other")
    cyclic.itself = cyclic  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    cyclic.memory.set("k", 1)
    (drawer,) = plugin.backends[0].drawers
    slow = cabinet("slow")
    slow.memory._context.handle._current.backend = Slow(native=False)
    with lock:
        thread = threading.Thread(target=slow.memory.set, args=("k", 1))
        thread.start()
        assert connecting.wait(60)
        del cyclic
        gc.collect()
    thread.join(60)
    assert not thread.is_alive()
    assert drawer.closed == 1


def test_holder_of_the_registry_closes_collected_stores(plugin: Plugin) -> None:
    """A store whose memory is collected while the registry is locked is closed afterwards (C22)."""
    workflow = cabinet()
    workflow.memory.set("k", 1)
    (drawer,) = plugin.backends[0].drawers
    with store_registry.locked():
        finalizer = workflow.memory._context.handle._finalizer
        thread = threading.Thread(target=finalizer)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert drawer.closed == 0
    assert drawer.closed == 1


def test_change_of_a_closed_memory_fails(plugin: Plugin) -> None:
    """A change that is running when its memory is closed raises StorageError (C22)."""

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


def test_error_on_close_is_a_storage_error(native: Plugin) -> None:
    """An error of a store's close() becomes a StorageError, and other stores are closed."""

    class Stuck(Drawer):
        def close(self) -> None:
            raise OSError("cabinet://u:secret@host is stuck")

    async def use() -> None:
        workflow = cabinet()
        workflow.memory._context.handle._current._store = BlockingStore(Stuck())
        await workflow.memory.aset("k", 1)
        with pytest.raises(StorageError, match=r"failed to close: OSError, in line \d+ of [\w.]+$"):
            await workflow.aclose()

    asyncio.run(use())
    (store,) = native.backends[0].async_drawers
    assert store.closed_in == [store.loop]


def test_closed_store_does_not_connect(native: Plugin) -> None:
    """A store whose last memory was closed does not connect any more, sync or async (C22)."""
    workflow = cabinet()
    handle = workflow.memory._context.handle
    shared, unconnected = handle._current, handle.sync.store
    workflow.close()
    with pytest.raises(StorageError, match="was closed"):
        unconnected.read(None)
    with pytest.raises(StorageError, match="was closed"):
        shared.sync_store()  # as a thread that was about to connect calls it

    async def use() -> None:
        with pytest.raises(StorageError, match="was closed"):
            shared.async_store()

    asyncio.run(use())


def test_thread_that_connects_second_uses_the_same_store(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two threads that connect at the same time, the second uses the first's store (C21)."""
    memory = cabinet().memory
    handle = memory._context.handle.sync
    first, second = handle.store, handle.store
    connect = handle.shared.sync_store
    connected: list[Any] = []

    def connect_after_the_other() -> AsyncStore:
        monkeypatch.undo()
        run_sync(first.write(None, b"", None, deadline=0))
        connected.append(handle.store)
        return connect()

    monkeypatch.setattr(handle.shared, "sync_store", connect_after_the_other)
    run_sync(second.write(None, b"", None, deadline=0))
    assert connected == [handle.store]


def test_change_that_connects_looks_the_store_up_once(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a record as the first operation asks for the store once, and wraps it once."""
    memory = cabinet().memory
    shared = memory._context.handle.sync.shared
    connect, calls = shared.sync_store, []

    def count() -> AsyncStore:
        calls.append(1)
        return connect()

    monkeypatch.setattr(shared, "sync_store", count)
    assert memory.increment("k") == 1
    assert memory.increment("k") == 2
    assert len(calls) == 1


def test_stores_of_a_memory(plugin: Plugin) -> None:
    """stores_of() returns the backend's own store, and the sync and async stores over it."""
    memory = cabinet().memory
    memory.set("k", 1)
    stores = stores_of(memory)
    (drawer,) = plugin.backends[0].drawers
    assert stores.blocking_store is drawer
    (address,) = drawer.records

    async def read() -> bytes | None:
        return await stores.async_store.read(address, deadline=time.monotonic() + 60)

    sync_read = stores.sync_store.read(address, deadline=time.monotonic() + 60)
    assert run_sync(sync_read) == asyncio.run(read()) == b"1"


class LooplessDrawer(AsyncDrawer):
    """An AsyncStore that belongs to no event loop."""

    def __init__(self) -> None:
        self.drawer = Drawer()

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        return self.drawer.read(address, deadline=deadline)

    async def close(self) -> None:
        """Do nothing."""


class OneStoreForBoth(Backend):
    """A backend that returns the same AsyncStore for sync and for async code."""

    def __init__(self) -> None:
        self.store = LooplessDrawer()

    def create_store(self) -> AsyncStore:
        return self.store

    def create_async_store(self) -> AsyncStore:
        return self.store


@pytest.mark.parametrize("first", ["sync", "async"])
def test_one_store_for_sync_and_async_code_is_refused(first: str) -> None:
    """A backend that returns one AsyncStore for sync and async code raises StorageError."""

    class OneStorePlugin(Plugin):
        @hookimpl
        def fibonacci_storage(self, settings: StoreSettings) -> Backend:
            return OneStoreForBoth()

    with register_plugin("storage", "cabinet", OneStorePlugin()):
        memory = cabinet().memory
        calls = [lambda: memory.get("k"), lambda: asyncio.run(memory.aget("k"))]
        one, other = calls if first == "sync" else reversed(calls)
        assert one() is None
        for _ in range(2):  # a refused store is not used by the next call either
            with pytest.raises(StorageError, match="one LooplessDrawer for sync and for async"):
                other()
        assert one() is None


@pytest.mark.parametrize("retry_transient_errors", [True, False])
def test_store_whose_attributes_are_frozen_works(retry_transient_errors: bool) -> None:
    """An AsyncStore may refuse that its attributes are set."""

    class Frozen(LooplessDrawer):
        def __setattr__(self, name: str, value: object) -> None:
            if name.startswith("_"):
                raise AttributeError("frozen")
            super().__setattr__(name, value)

    class FrozenPlugin(Plugin):
        @hookimpl
        def fibonacci_storage(self, settings: StoreSettings) -> Backend:
            backend = OneStoreForBoth()
            backend.store = Frozen()
            backend.store.retry_transient_errors = retry_transient_errors
            return backend

    with register_plugin("storage", "cabinet", FrozenPlugin()):
        assert cabinet().memory.increment("k") == 1


@pytest.mark.parametrize("returned", [None, 42, "Store", Drawer])
def test_wrong_result_of_create_store_is_refused(plugin: Plugin, returned: Any) -> None:
    """A create_store that returns no store raises StorageError, for sync and async operations."""

    class Wrong(Cabinet):
        def create_store(self) -> Any:
            return returned

    memory = cabinet_of(Wrong(native=False)).memory
    message = (
        f"the backend's create_store returned {type(returned).__name__}: it has to return a Store "
        f"or an AsyncStore"
    )
    with pytest.raises(StorageError) as caught:
        memory.get("k")
    assert str(caught.value) == message
    with pytest.raises(StorageError) as caught:
        asyncio.run(memory.aget("k"))
    assert str(caught.value) == message


@pytest.mark.parametrize("returned", [42, Drawer(), AsyncDrawer], ids=["int", "Store", "class"])
def test_wrong_result_of_create_async_store_is_refused(plugin: Plugin, returned: Any) -> None:
    """A create_async_store that returns neither an AsyncStore nor None raises StorageError."""

    class Wrong(Cabinet):
        def create_async_store(self) -> Any:
            return returned

    memory = cabinet_of(Wrong(native=False)).memory
    with pytest.raises(StorageError) as caught:
        asyncio.run(memory.aget("k"))
    assert str(caught.value) == (
        f"the backend's create_async_store returned {type(returned).__name__}: it has to return "
        f"an AsyncStore, or None for worker threads"
    )
    assert memory.get("k") is None


def test_error_of_create_store_is_a_storage_error(plugin: Plugin) -> None:
    """An exception of create_store becomes a StorageError, without the exception's text."""

    class Broken(Cabinet):
        def create_store(self) -> Store:
            raise OSError("cabinet://u:secret@host is broken")

    memory = cabinet_of(Broken(native=False)).memory
    with pytest.raises(
        StorageError, match=r"^the backend failed to create a store: OSError, in line \d+ of \S+$"
    ):
        memory.get("k")
