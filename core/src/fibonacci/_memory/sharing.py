"""Stores shared by all memories with the same settings, held by leases, let go with the last.

One store per plugin, URL (credentials included), options and timeout, in a process; one besides
for each event loop, where the backend has an async store of its own. After a fork the child starts
anew, and leaves the parent's connections alone.
"""

import os
import weakref
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from fibonacci._memory.threads import Threaded
from fibonacci.errors import FibonacciError, StorageError
from fibonacci.plugin.storage import AsyncStore, Backend, Inline, Store

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

S = TypeVar("S")

# Reentrant: a lease may die, and so be let go, while its thread is in here.
_lock: Final = RLock()
_shared: Final[dict[Hashable, "SharedStore"]] = {}
_leases: Final["weakref.WeakSet[Lease]"] = weakref.WeakSet()
_of_parent: Final[list[object]] = []
"""A forked child's copies of its parent's stores. They live as long as the child: a driver's
finalizer could say goodbye to the server, on a connection that is the parent's."""


class GivenStore(Backend):
    """A store that the user made: connected to as it is."""

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
        self._store: Store | None = None
        self._threaded: Threaded | None = None
        self._native: dict[AbstractEventLoop, AsyncStore] = {}

    def store(self) -> Store:
        """Return the sync store of this process."""
        with _lock:
            if self._store is None:
                self._store = _connected(self.backend.connect)
            return self._store

    def async_store(self) -> AsyncStore:
        """Return the async store for the running event loop."""
        loop = _running_loop()()
        store = self._native.get(loop)
        return self._connect_to(loop) if store is None else store

    def _connect_to(self, loop: "AbstractEventLoop") -> AsyncStore:
        with _lock:
            for other in [other for other in self._native if other.is_closed()]:
                del self._native[other]  # its connections went with its loop
            store = _connected(self.backend.aconnect)
            self._native[loop] = self._in_threads() if store is None else store
            return self._native[loop]

    def _in_threads(self) -> Threaded:
        if self._threaded is None:
            self._threaded = Threaded(self.store())
        return self._threaded

    def release(self) -> "list[tuple[AbstractEventLoop, AsyncStore]]":
        """Give back one hold; with the last, close the sync store and hand out the async ones."""
        with _lock:
            self.holders -= 1
            if self.holders:
                return []
            _shared.pop(self.key, None)
            store, native = self._store, self._native
            self._store, self._threaded, self._native = None, None, {}
        if store is not None and not isinstance(self.backend, GivenStore):
            store.close()
        return list(native.items())

    def forget(self) -> None:
        """Start anew in a forked child."""
        _of_parent.extend([self._store, self._threaded, self._native])
        self._store = self._threaded = None
        self._native = {}


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
        if isinstance(self.store, Inline):
            self.store = _Unconnected(self)


class _Unconnected:
    """Stands in for a store until the first verb asks it for something."""

    def __init__(self, side: SyncSide) -> None:
        self._side = side

    def __getattr__(self, name: str) -> Any:
        with _lock:
            if self._side.store is self:  # no other thread has connected it, or closed it
                self._side.store = Inline(self._side.shared.store())
        return getattr(self._side.store, name)


class _Closed:
    """Stands in for the store of a memory that was closed."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _closed()


class Lease:
    """One memory's hold on a shared store: until it is released, or nobody refers to it."""

    def __init__(self, shared: SharedStore) -> None:
        self.sync = SyncSide(shared)
        self._shared = shared
        self._finalizer = weakref.finalize(self, _let_go, shared)
        _leases.add(self)

    @property
    def store(self) -> AsyncStore:
        """The async store for the running event loop."""
        if not self._finalizer.alive:
            raise _closed()
        return self._shared.async_store()

    def release(self) -> None:
        """Give the hold back; all further use raises StorageError."""
        self.sync.close()
        self._finalizer()

    async def arelease(self) -> None:
        """Give the hold back, and wait until the running loop's store is closed."""
        self.sync.close()
        if self._finalizer.detach():
            for loop, store in self._shared.release():
                if loop is _running_loop()():
                    await store.close()
                else:
                    _close_later(loop, store)

    def forget(self) -> None:
        """Start anew in a forked child."""
        self._shared.forget()
        self.sync.forget()


def lease(key: Hashable, make: Callable[[], Backend]) -> Lease:
    """Return a hold on the store of this key; ``make`` is asked for its backend if it is new."""
    held = _hold(key)
    while held is None:
        fresh = SharedStore(key, make())  # outside the lock, as it may import a plugin
        with _lock:
            _shared.setdefault(key, fresh)
        held = _hold(key)
    return held


def _hold(key: Hashable) -> Lease | None:
    with _lock:
        shared = _shared.get(key)
        if shared is None:
            return None
        shared.holders += 1
        # The collector may have come just before, and with it the last of the other leases gone.
        return Lease(shared) if _shared.get(key) is shared else None


def _connected(connect: "Callable[[], S]") -> "S":
    try:
        return connect()
    except FibonacciError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever a backend raises
        # Its own text stays out: a driver's may quote the URL with the password.
        raise StorageError(f"the backend failed to connect: {type(fault).__name__}") from None


def _closed() -> StorageError:
    return StorageError("this memory was closed: make a new Workflow, or close it later")


def _let_go(shared: SharedStore) -> None:
    for loop, store in shared.release():
        _close_later(loop, store)


def _close_later(loop: "AbstractEventLoop", store: AsyncStore) -> None:
    """Have the store's own loop close it; a loop that is closed took the connections with it."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_close_in, loop, store)


def _close_in(loop: "AbstractEventLoop", store: AsyncStore) -> None:
    task = loop.create_task(store.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: "Final[set[Task[None]]]" = set()
"""Keeps the tasks alive: a loop holds its tasks weakly."""


@cache
def _running_loop() -> "Callable[[], AbstractEventLoop]":
    import asyncio  # only async programs pay for it: 62 ms

    return asyncio.get_running_loop


def _start_anew() -> None:
    for one in list(_leases):
        one.forget()
    _lock.release()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_start_anew
    )
