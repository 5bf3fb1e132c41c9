"""Stores shared by all memories with the same settings, held by leases, let go with the last.

One store per plugin, URL (credentials included), options and timeout, in a process; one besides
for each event loop, where the backend has an async store of its own. After a fork the child starts
anew, and leaves the parent's connections alone.
"""

import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from fibonacci._memory.lines import Lines
from fibonacci._memory.retries import retried
from fibonacci._memory.threads import Threaded, ThreadLimit
from fibonacci.errors import FibonacciError, StorageError
from fibonacci.plugin._origin import origin
from fibonacci.plugin._run import run
from fibonacci.plugin._runtime.forks import leave_to_parent, on_fork
from fibonacci.plugin._runtime.per_loop import PerLoop
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter
from fibonacci.plugin.storage import AsyncStore, Backend, Inline, Store

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

S = TypeVar("S")

_lock: Final = RLock()
_shared: Final[dict[Hashable, "SharedStore"]] = {}
_leases: Final["weakref.WeakSet[Lease]"] = weakref.WeakSet()
_let_go: Final["deque[SharedStore]"] = deque()
"""Stores whose leases were collected. The collector runs in any thread at any moment, under any
lock, so it only leaves a word here: whoever has the registry's lock, or gets it at once, reads it.
"""


class GivenStore(Backend):
    """A store that the user made: connected to as it is, and theirs to close."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def connect(self) -> Store:
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
        self._store: Store | None = None
        self._threads: ThreadLimit | None = None
        self._native = _per_loop()

    def store(self) -> Store:
        """Return the sync store of this process; StorageError when all have let go."""
        with self._lock:
            if not self.holders:
                raise closed()
            if self._store is None:
                self._store = _guarded("connect", self.backend.connect)
            return self._store

    def async_store(self) -> AsyncStore:
        """Return the async store for the running event loop."""
        store = self._native.get()
        return self._connect_to_loop() if store is None else store

    def _connect_to_loop(self) -> AsyncStore:
        with self._lock:
            if not self.holders:
                raise closed()
            connected = _guarded("connect", self.backend.aconnect)
            store = self._in_threads() if connected is None else connected
            store = _in_line(retried(store), Lines(TaskWaiter))
            self._native.add(store)
            return store

    def _in_threads(self) -> Threaded:
        store = self.store()
        if self._threads is None:
            self._threads = ThreadLimit(store)
        return Threaded(store, self._threads)

    def drop(self) -> "tuple[Store | None, list[tuple[AbstractEventLoop, AsyncStore]]]":
        """Hand out what is connected, to be closed; the registry's lock is held."""
        _shared.pop(self.key, None)
        store = None if isinstance(self.backend, GivenStore) else self._store
        self._store = self._threads = None
        return store, self._native.pop_all()

    def forget(self) -> None:
        """Start anew in a forked child."""
        leave_to_parent(self._store, self._threads, self._native)
        self._store = self._threads = None
        self._native = _per_loop()
        self.lines.forget()
        self._lock = RLock()


def _in_line(store: AsyncStore, lines: Lines) -> AsyncStore:
    """Have callers who change one record of the store at once go one after another."""
    if not store._in_process:
        store._lines = lines
    return store


def _per_loop() -> PerLoop[AsyncStore]:
    return PerLoop(lambda store: store.close(), abandon=_abandon)


def _abandon(store: AsyncStore) -> None:
    """Close a store whose loop is closed: what would have to be waited for is left to the system.

    Nobody is there to be told what goes wrong.
    """
    with suppress(Exception):
        run(store.close())


class SyncSide:
    """A lease in the sync voice."""

    def __init__(self, shared: SharedStore) -> None:
        self.shared = shared
        self.store: Any = _Unconnected(self)
        """The sync store in the async shape, as a plain attribute: every sync verb looks it up."""

    def close(self) -> None:
        with _lock:
            self.store = _Closed()

    def forget(self) -> None:
        if not isinstance(self.store, _Closed):
            self.store = _Unconnected(self)


class _Unconnected:
    """Stands in for a store until the first verb asks it for something."""

    def __init__(self, side: SyncSide) -> None:
        self._side = side

    def __getattr__(self, name: str) -> Any:
        shared = self._side.shared
        store = _in_line(retried(Inline(shared.store())), shared.lines)
        with _lock:
            if self._side.store is self:  # no other thread has connected it, or closed it
                self._side.store = store
        return getattr(self._side.store, name)


class _Closed:
    """Stands in for the store of a memory that was closed."""

    def __getattr__(self, name: str) -> NoReturn:
        raise closed()


class Lease:
    """One memory's hold on a shared store: until it is released, or nobody refers to it."""

    def __init__(self, shared: SharedStore) -> None:
        self.sync = SyncSide(shared)
        self._shared = shared
        self._finalizer = weakref.finalize(self, _leave, shared)
        _leases.add(self)

    @property
    def store(self) -> AsyncStore:
        """The async store for the running event loop."""
        if not self._finalizer.alive:
            raise closed()
        return self._shared.async_store()

    def release(self) -> None:
        """Give the hold back; all further use raises StorageError."""
        self.sync.close()
        self._finalizer()

    async def arelease(self) -> None:
        """Give the hold back, and wait until the running loop's store is closed."""
        self.sync.close()
        if not self._finalizer.detach():
            return
        with _registry():
            store, native = _give_back(self._shared)
        own = [one for loop, one in native if loop is _running_loop()()]
        try:
            _close(store, [(loop, one) for loop, one in native if one not in own])
        finally:
            for one in own:
                await one.close()

    def forget(self) -> None:
        """Start anew in a forked child."""
        self._shared.forget()
        self.sync.forget()


def lease(key: Hashable, make: Callable[[], Backend]) -> Lease:
    """Return a hold on the store of this key; ``make`` is asked for its backend if it is new."""
    held = _hold(key)
    while held is None:
        fresh = SharedStore(key, make())  # outside the lock, as it may import a plugin
        with _registry():
            _shared.setdefault(key, fresh)
        held = _hold(key)
    return held


def closed() -> StorageError:
    """What a memory that was closed raises."""
    return StorageError("this memory was closed: make a new Workflow, or close it later")


def _hold(key: Hashable) -> Lease | None:
    with _registry():
        shared = _shared.get(key)
        if shared is None:
            return None
        shared.holders += 1
        return Lease(shared)


@contextmanager
def _registry() -> Iterator[None]:
    with _lock:
        yield
    _read_words()


def _leave(shared: SharedStore) -> None:
    """Let go of a store for a lease that is gone; the finalizer, so it waits for nothing."""
    _let_go.append(shared)
    _read_words()


def _read_words() -> None:
    """Let go of what the collector left here. Who can't have the lock leaves it to its holder."""
    while _let_go and _lock.acquire(blocking=False):
        try:
            store, native = _give_back(_let_go.popleft()) if _let_go else (None, [])
        finally:
            _lock.release()
        _close(store, native)


def _give_back(
    shared: SharedStore,
) -> "tuple[Store | None, list[tuple[AbstractEventLoop, AsyncStore]]]":
    shared.holders -= 1
    return (None, []) if shared.holders else shared.drop()


def _close(store: Store | None, native: "list[tuple[AbstractEventLoop, AsyncStore]]") -> None:
    """Close the sync store here, and have each async one closed by its own loop."""
    for loop, one in native:
        with suppress(RuntimeError):  # a loop that is closed took the connections with it
            loop.call_soon_threadsafe(_close_in, loop, one)
    if store is not None:
        _guarded("close", store.close)


def _close_in(loop: "AbstractEventLoop", store: AsyncStore) -> None:
    task = loop.create_task(store.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: "Final[set[Task[None]]]" = set()
"""Keeps the tasks alive: a loop holds its tasks weakly."""


def _guarded(verb: str, call: "Callable[[], S]") -> "S":
    try:
        return call()
    except FibonacciError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever a backend raises
        raise_for_signal(fault)
        told = origin(fault)
    # Its own text stays out: a driver's may quote the URL with the password.
    raise StorageError(f"the backend failed to {verb}: {told}")


@cache
def _running_loop() -> "Callable[[], AbstractEventLoop]":
    import asyncio  # only async programs pay for it: 62 ms

    return asyncio.get_running_loop


def _start_anew() -> None:
    for one in list(_leases):
        one.forget()
    _lock.release()


on_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_start_anew)
