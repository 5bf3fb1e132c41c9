"""One backend and the stores connected to it: the sync one, and one for each event loop."""

from collections.abc import Callable, Hashable
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from fibonacci._memory.lines import Lines
from fibonacci._memory.retries import retried
from fibonacci._memory.threads import Threaded, ThreadLimit
from fibonacci.errors import FibonacciError, StorageError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.errors import error_origin
from fibonacci.plugin._runtime.forks import keep_alive_in_child
from fibonacci.plugin._runtime.platforms import refuse_eventlet, refuse_late_patches
from fibonacci.plugin._runtime.sharing import LoopLocal
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter
from fibonacci.plugin.storage import AsyncStore, Backend, BlockingStore, Store

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

S = TypeVar("S")


class GivenStore(Backend):
    """A store that the user made: connected to as it is, and theirs to close."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create_store(self) -> Store:
        return self.store


class SharedStore:
    """A backend, and the stores that were connected to it in this process."""

    def __init__(self, key: Hashable, backend: Backend) -> None:
        self.key = key
        self.backend = backend
        self.holders = 0
        self.lines = Lines(ThreadWaiter)
        """Of the sync voice, whose callers stand in one line, whichever memory they have."""
        # Its own: a backend may take its time to connect, and may take locks of its own.
        self._lock = RLock()
        self._store: AsyncStore | None = None
        self._threads: ThreadLimit | None = None
        self._native = _per_loop()

    def blocking_store(self) -> AsyncStore:
        """Return the store for sync code, as coroutines that never suspend.

        StorageError when all have let go.
        """
        with self._lock:
            if not self.holders:
                raise closed()
            if self._store is None:
                self._store = _blocking(_connected(self.backend.create_store))
            return self._store

    def sync_store(self) -> AsyncStore:
        """Return the blocking store, with retries and lines."""
        return _in_line(retried(self.blocking_store()), self.lines)

    def async_store(self) -> AsyncStore:
        """Return the async store for the running event loop."""
        store = self._native.get()
        return self._connect_to_loop() if store is None else store

    def _connect_to_loop(self) -> AsyncStore:
        with self._lock:
            if not self.holders:
                raise closed()
            connected = _connected(self.backend.create_async_store)
            store = self._in_threads() if connected is None else connected
            store = _in_line(retried(store), Lines(TaskWaiter))
            self._native.set(store)
            return store

    def _in_threads(self) -> Threaded:
        store = self.blocking_store()
        if self._threads is None:
            self._threads = ThreadLimit(store)
        return Threaded(store, self._threads)

    def drop(self) -> "tuple[AsyncStore | None, list[tuple[AbstractEventLoop, AsyncStore]]]":
        """Hand out what is connected, to be closed."""
        store = None if isinstance(self.backend, GivenStore) else self._store
        self._store = self._threads = None
        return store, self._native.pop_all()

    def forget(self) -> None:
        """Start anew in a forked child."""
        keep_alive_in_child(self._store, self._threads)
        self._native.reset_after_fork()
        self._store = self._threads = None
        self.lines.forget()
        self._lock = RLock()


def closed() -> StorageError:
    """What a memory that was closed raises."""
    return StorageError("this memory was closed: make a new Workflow, or close it later")


def guarded(verb: str, call: "Callable[[], S]") -> "S":
    try:
        return call()
    except FibonacciError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever a backend raises
        raise_for_signal(fault)
        told = error_origin(fault)
    # Its own text stays out: a driver's may quote the URL with the password.
    raise StorageError(f"the backend failed to {verb}: {told}")


def _connected(connect: "Callable[[], S]") -> "S":
    """Connect; ConfigurationError where greenlets could not share what comes of it."""
    refuse_late_patches()
    store = guarded("connect", connect)
    if isinstance(store, Store | AsyncStore) and store.retry_transient_errors:
        refuse_eventlet()
    return store


def _blocking(store: Store | AsyncStore) -> AsyncStore:
    if not isinstance(store, AsyncStore):
        return BlockingStore(store)
    store._is_blocking = True
    return store


def _in_line(store: AsyncStore, lines: Lines) -> AsyncStore:
    """Have callers who change one record of the store at once go one after another."""
    if not store._in_process:
        store._lines = lines
    return store


def _per_loop() -> LoopLocal[AsyncStore]:
    return LoopLocal(lambda store: store.close(), close_nowait=_abandon)


def _abandon(store: AsyncStore) -> None:
    """Close a store whose loop is closed: what would have to be waited for is left to the system.

    Nobody is there to be told what goes wrong.
    """
    with suppress(Exception):
        run_sync(store.close())
