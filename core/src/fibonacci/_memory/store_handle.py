"""A memory's handle to its shared store: open until it is released, or nobody refers to it.

After a fork the child's handles connect to stores of their own; the parent's connections stay as
they are. While a backend overrides all others, as in tests, all handles use its store.
"""

import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import attrs

from fibonacci._memory import store_registry
from fibonacci._memory.guarded_store import GuardedStore
from fibonacci._memory.shared_store import SharedStore, closed_error
from fibonacci.plugin._runtime.forks import on_fork
from fibonacci.plugin.storage import AsyncStore, Backend, BlockingStore, Store

_handles: Final["weakref.WeakSet[StoreHandle]"] = weakref.WeakSet()
_overrides: Final[list[SharedStore]] = []
"""Stores that all memories use instead of their own: the last of them; see ``override_backend``."""


class SyncHandle:
    """The handle as sync code uses it."""

    def __init__(self, shared: SharedStore) -> None:
        self.shared = shared
        self.store: Any = _LazyStore(self)
        """The blocking store, as a plain attribute: every sync operation looks it up."""

    def close(self) -> None:
        with store_registry.lock:
            self.store = _ClosedStore()

    def disconnect(self) -> None:
        """Have the next operation connect again."""
        if not isinstance(self.store, _ClosedStore):
            self.store = _LazyStore(self)

    def switch_to(self, shared: SharedStore) -> None:
        self.shared = shared
        self.disconnect()


class _LazyStore:
    """Stands in for the store until the first operation."""

    def __init__(self, handle: SyncHandle) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        if self._handle.store is not self:  # a caller kept this, and the handle has connected
            return getattr(self._handle.store, name)
        store = self._handle.shared.sync_store()
        with store_registry.lock:
            if self._handle.store is self:  # no other thread has connected it, or closed it
                self._handle.store = store
        return getattr(self._handle.store, name)


class _ClosedStore:
    """Stands in for the store of a memory that was closed."""

    def __getattr__(self, name: str) -> NoReturn:
        raise closed_error()


class StoreHandle:
    """One memory's reference to a shared store."""

    def __init__(self, shared: SharedStore) -> None:
        self.sync = SyncHandle(shared)
        self._own = shared
        self._current = shared
        """The store that is used: its own, or that of an override."""
        self._finalizer = weakref.finalize(self, store_registry.enqueue_release, shared)
        _handles.add(self)

    @property
    def store(self) -> AsyncStore:
        """The async store of the running event loop. StorageError if the handle is closed."""
        if not self._finalizer.alive:
            raise closed_error()
        return self._current.async_store()

    def release(self) -> None:
        """Give the reference back; all further use raises StorageError."""
        self.sync.close()
        self._finalizer()

    async def arelease(self) -> None:
        """Give the reference back, and wait until the running loop's store is closed."""
        self.sync.close()
        if self._finalizer.detach():
            await store_registry.arelease(self._own)

    def apply_override(self) -> None:
        """Use the store of the innermost override, or its own if there is none."""
        self._current = _overrides[-1] if _overrides else self._own
        self.sync.switch_to(self._current)

    def reset_after_fork(self) -> None:
        """Have the handle connect to a store of the forked child."""
        self._own.reset_after_fork()
        self._current.reset_after_fork()
        self.sync.disconnect()


@attrs.frozen
class MemoryStores:
    """The stores of a memory, for tests of backends."""

    _handle: StoreHandle

    @property
    def blocking_store(self) -> Store | AsyncStore:
        """What the backend created for sync code.

        Core's retries are not in it, nor does core translate its exceptions.
        """
        store = self._handle._current.blocking_store()
        return store.store if isinstance(store, BlockingStore) else store

    @property
    def sync_store(self) -> AsyncStore:
        """The blocking store as sync operations use it."""
        store: AsyncStore = self._handle.sync.store
        return store

    @property
    def async_store(self) -> AsyncStore:
        """What the backend created for the running event loop, or its sync store in threads."""
        store = self._handle.store
        return store.store if isinstance(store, GuardedStore) else store


def stores_of(memory: Any) -> MemoryStores:
    """Return the stores of a MemoryManager, or of a view of one, for tests."""
    return MemoryStores(memory._context.handle)


def open_handle(key: Hashable, create_backend: Callable[[], Backend]) -> StoreHandle:
    """Return a handle to the store of this key; a new store is one of ``create_backend()``."""
    handle = _open_existing(key)
    while handle is None:
        store_registry.add(SharedStore(key, create_backend()))  # no lock: it may import a plugin
        handle = _open_existing(key)
    return handle


def _open_existing(key: Hashable) -> StoreHandle | None:
    with store_registry.locked():
        shared = store_registry.acquire(key)
        if shared is None:
            return None
        handle = StoreHandle(shared)
        if _overrides:
            handle.apply_override()
        return handle


@contextmanager
def override_backend(backend: Backend) -> Iterator[None]:
    """Have all memories of this process use one store, of this backend, instead of their own.

    This includes memories that are created meanwhile. Of nested overrides the innermost counts.
    """
    shared = SharedStore(object(), backend)
    shared.refcount = 1
    with store_registry.locked():
        _overrides.append(shared)
        _apply_overrides()
    try:
        yield
    finally:
        with store_registry.locked():
            _overrides.remove(shared)
            _apply_overrides()
            shared.refcount = 0


def _apply_overrides() -> None:
    for handle in list(_handles):
        handle.apply_override()


def _reset_after_fork() -> None:
    for handle in list(_handles):
        handle.reset_after_fork()
    store_registry.lock.release()


on_fork(
    before=store_registry.lock.acquire,
    after_in_parent=store_registry.lock.release,
    after_in_child=_reset_after_fork,
)
