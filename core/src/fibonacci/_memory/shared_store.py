"""A backend and the stores created with it: the blocking one, and one for each event loop."""

from collections.abc import Callable, Hashable
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any

from fibonacci._memory.cas import WriterQueues
from fibonacci._memory.foreign_errors import translate_errors
from fibonacci._memory.retries import add_retries
from fibonacci._memory.thread_pool_store import ThreadLimits, ThreadPoolStore
from fibonacci.errors import StorageError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.forks import keep_alive_in_child
from fibonacci.plugin._runtime.platforms import refuse_eventlet, refuse_late_patches
from fibonacci.plugin._runtime.sharing import LoopLocal
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter
from fibonacci.plugin.storage import AsyncStore, Backend, BlockingStore, Store

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class StoreInstanceBackend(Backend):
    """A store that the user created: used as it is, and closed by the user."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create_store(self) -> Store:
        return self.store


class SharedStore:
    """A backend, and its stores in this process."""

    def __init__(self, key: Hashable, backend: Backend) -> None:
        self.key = key
        self.backend = backend
        self.refcount = 0
        self.writer_queues = WriterQueues(ThreadWaiter)
        """For sync code: its callers share the queues, whichever memory they use."""
        # Not the registry's: a backend may take its time, and take locks of its own.
        self._lock = RLock()
        self._store: AsyncStore | None = None
        self._thread_limits: ThreadLimits | None = None
        self._async_stores: LoopLocal[AsyncStore] = LoopLocal(
            lambda store: store.close(), close_nowait=_close_nowait
        )

    def blocking_store(self) -> AsyncStore:
        """Return the store for sync code, as coroutines that never suspend.

        StorageError if nobody refers to this object any more.
        """
        with self._lock:
            if not self.refcount:
                raise closed_error()
            if self._store is None:
                created = _create(self.backend.create_store)
                store = BlockingStore(created) if isinstance(created, Store) else created
                if not isinstance(store, AsyncStore):
                    raise _wrong_store_error("create_store", store, "a Store or an AsyncStore")
                _set_blocking(store, is_blocking=True)
                self._store = store
            return self._store

    def sync_store(self) -> AsyncStore:
        """Return the blocking store, with retries and queues of writers."""
        return _add_queues(add_retries(self.blocking_store()), self.writer_queues)

    def async_store(self) -> AsyncStore:
        """Return the async store of the running event loop."""
        store = self._async_stores.get()
        return self._create_for_loop() if store is None else store

    def _create_for_loop(self) -> AsyncStore:
        with self._lock:
            if not self.refcount:
                raise closed_error()
            store = _create(self.backend.create_async_store)
            if store is None:
                store = self._create_thread_pool_store()
            if not isinstance(store, AsyncStore):
                fix = "an AsyncStore, or None for worker threads"
                raise _wrong_store_error("create_async_store", store, fix)
            _set_blocking(store, is_blocking=False)
            store = _add_queues(add_retries(store), WriterQueues(TaskWaiter))
            self._async_stores.set(store)
            return store

    def _create_thread_pool_store(self) -> ThreadPoolStore:
        store = self.blocking_store()
        if self._thread_limits is None:
            self._thread_limits = ThreadLimits(store)
        return ThreadPoolStore(store, self._thread_limits)

    def detach(self) -> "tuple[AsyncStore | None, list[tuple[AbstractEventLoop, AsyncStore]]]":
        """Return the stores that the caller has to close, and forget them."""
        store = None if isinstance(self.backend, StoreInstanceBackend) else self._store
        self._store = self._thread_limits = None
        return store, self._async_stores.pop_all()

    def reset_after_fork(self) -> None:
        """Have a forked child create stores of its own."""
        keep_alive_in_child(self._store, self._thread_limits)
        self._async_stores.reset_after_fork()
        self._store = self._thread_limits = None
        self.writer_queues.reset_after_fork()
        self._lock = RLock()


def closed_error() -> StorageError:
    """Return what a closed memory raises."""
    return StorageError("this memory was closed: create a new Workflow, or close it later")


def _create(create_store: Callable[[], object]) -> Any:
    """Create a store; ConfigurationError where greenlets could not share it."""
    refuse_late_patches()
    store = translate_errors("create a store", create_store)
    if isinstance(store, Store | AsyncStore) and store.retry_transient_errors:
        refuse_eventlet()
    return store


def _wrong_store_error(method: str, store: object, fix: str) -> StorageError:
    return StorageError(
        f"the backend's {method} returned {type(store).__name__}: it has to return {fix}"
    )


def _set_blocking(store: AsyncStore, *, is_blocking: bool) -> None:
    """Note whether the store serves sync or async code; StorageError if it serves the other."""
    if store._is_blocking is None:
        object.__setattr__(store, "_is_blocking", is_blocking)  # its class may be frozen
    if store._is_blocking is not is_blocking:
        raise StorageError(
            f"the backend returned one {type(store).__name__} for sync and for async code: "
            f"create_store and create_async_store have to return different stores"
        )


def _add_queues(store: AsyncStore, queues: WriterQueues) -> AsyncStore:
    """Have callers that change one record of the store do so one after another."""
    if not store._in_process:
        object.__setattr__(store, "_writer_queues", queues)
    return store


def _close_nowait(store: AsyncStore) -> None:
    """Close a store whose loop is closed, as far as that works without waiting.

    No caller is left to receive an error.
    """
    with suppress(Exception):
        run_sync(store.close())
