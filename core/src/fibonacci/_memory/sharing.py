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
from typing import TYPE_CHECKING, Any, Final, NoReturn

from fibonacci._memory.shared_store import SharedStore, closed, guarded
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.forks import on_fork
from fibonacci.plugin.storage import AsyncStore, Backend

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

_lock: Final = RLock()
_shared: Final[dict[Hashable, SharedStore]] = {}
_leases: Final["weakref.WeakSet[Lease]"] = weakref.WeakSet()
_substitutes: Final[list[SharedStore]] = []
"""Stores that all memories use in place of their own: the last one of them; see ``substituted``."""
_let_go: Final["deque[SharedStore]"] = deque()
"""Stores whose leases were collected. The collector runs in any thread at any moment, under any
lock, so it only leaves a word here: whoever has the registry's lock, or gets it at once, reads it.
"""


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

    def turn_to(self, shared: SharedStore) -> None:
        self.shared = shared
        self.forget()


class _Unconnected:
    """Stands in for a store until the first verb asks it for something."""

    def __init__(self, side: SyncSide) -> None:
        self._side = side

    def __getattr__(self, name: str) -> Any:
        store = self._side.shared.sync_store()
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
        self._own = shared
        self._shared = shared
        """The one that is used: its own, or a substitute."""
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
            store, native = _give_back(self._own)
        own = [one for loop, one in native if loop is _running_loop()()]
        try:
            _close(store, [(loop, one) for loop, one in native if one not in own])
        finally:
            for one in own:
                await one.close()

    def forget(self) -> None:
        """Start anew in a forked child."""
        self._own.forget()
        self._shared.forget()
        self.sync.forget()

    def turn(self) -> None:
        """Use the substitute that is the last now, or its own store."""
        self._shared = _substitutes[-1] if _substitutes else self._own
        self.sync.turn_to(self._shared)


def lease(key: Hashable, make: Callable[[], Backend]) -> Lease:
    """Return a hold on the store of this key; ``make`` is asked for its backend if it is new."""
    held = _hold(key)
    while held is None:
        fresh = SharedStore(key, make())  # outside the lock, as it may import a plugin
        with _registry():
            _shared.setdefault(key, fresh)
        held = _hold(key)
    return held


def _hold(key: Hashable) -> Lease | None:
    with _registry():
        shared = _shared.get(key)
        if shared is None:
            return None
        shared.holders += 1
        held = Lease(shared)
        if _substitutes:
            held.turn()
        return held


@contextmanager
def substituted(backend: Backend) -> Iterator[None]:
    """Have all memories of this process use one store, of this backend, in place of their own.

    Those that are made meanwhile too. Within another substitute, the inner one counts.
    """
    shared = SharedStore(object(), backend)
    shared.holders = 1
    with _registry():
        _substitutes.append(shared)
        _turn_all()
    try:
        yield
    finally:
        with _registry():
            _substitutes.remove(shared)
            _turn_all()
            shared.holders = 0


def _turn_all() -> None:
    for one in list(_leases):
        one.turn()


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
    while _let_go:
        taken: list[bool] = []
        try:
            # Taken, and noted, in one step of C: a signal handler can't raise in between.
            taken.extend(filter(None, map(_lock.acquire, (False,))))
            gone = _give_back(_let_go.popleft()) if taken and _let_go else (None, [])
        finally:
            if taken:
                _lock.release()
        if not taken:
            return
        _close(*gone)


def _give_back(
    shared: SharedStore,
) -> "tuple[AsyncStore | None, list[tuple[AbstractEventLoop, AsyncStore]]]":
    shared.holders -= 1
    if shared.holders:
        return None, []
    _shared.pop(shared.key, None)
    return shared.drop()


def _close(store: AsyncStore | None, native: "list[tuple[AbstractEventLoop, AsyncStore]]") -> None:
    """Close the sync store here, and have each async one closed by its own loop."""
    for loop, one in native:
        with suppress(RuntimeError):  # a loop that is closed took the connections with it
            loop.call_soon_threadsafe(_close_in, loop, one)
    if store is not None:
        guarded("close", lambda: run_sync(store.close()))


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


on_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_start_anew)
