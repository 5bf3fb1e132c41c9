"""The stores that the memories of this process share: one for each key, counted, closed at 0.

A key is made of plugin, URL (credentials included), options and timeout.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Final

from fibonacci._memory.foreign_errors import translate_errors
from fibonacci._memory.shared_store import SharedStore
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.storage import AsyncStore

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

lock: Final = RLock()
_stores: Final[dict[Hashable, SharedStore]] = {}
_released: Final["deque[SharedStore]"] = deque()
"""Stores whose handles were collected. The garbage collector runs in any thread at any moment,
under any lock, so it only enqueues them here; the thread that has the registry's lock, or gets it
without waiting, releases them.
"""


@contextmanager
def locked() -> Iterator[None]:
    """Hold the registry's lock; release afterwards what was enqueued meanwhile."""
    with lock:
        yield
    _drain_released()


def acquire(key: Hashable) -> SharedStore | None:
    """Return the store of this key, with one reference more, or None. Needs the lock."""
    shared = _stores.get(key)
    if shared is not None:
        shared.refcount += 1
    return shared


def add(shared: SharedStore) -> None:
    """Register a store, unless there is one of its key."""
    with locked():
        _stores.setdefault(shared.key, shared)


def enqueue_release(shared: SharedStore) -> None:
    """Give a reference back, from a finalizer: it waits for nothing."""
    _released.append(shared)
    _drain_released()


async def arelease(shared: SharedStore) -> None:
    """Give a reference back; if it was the last, close the store of the running loop here."""
    with locked():
        blocking, of_loops = _give_back(shared)
    own = [store for loop, store in of_loops if loop is _get_running_loop()()]
    try:
        _close(blocking, [(loop, store) for loop, store in of_loops if store not in own])
    finally:
        for store in own:
            await store.close()


def _drain_released() -> None:
    """Release what was enqueued. A thread that can't get the lock leaves that to its holder."""
    while _released:
        taken: list[bool] = []
        try:
            # Acquired, and noted, in one step of C: a signal handler can't raise in between.
            taken.extend(filter(None, map(lock.acquire, (False,))))
            detached = _give_back(_released.popleft()) if taken and _released else (None, [])
        finally:
            if taken:
                lock.release()
        if not taken:
            return
        _close(*detached)


def _give_back(
    shared: SharedStore,
) -> "tuple[AsyncStore | None, list[tuple[AbstractEventLoop, AsyncStore]]]":
    """Return what has to be closed: all connected stores if that was the last reference."""
    shared.refcount -= 1
    if shared.refcount:
        return None, []
    _stores.pop(shared.key, None)
    return shared.detach()


def _close(
    blocking: AsyncStore | None, of_loops: "list[tuple[AbstractEventLoop, AsyncStore]]"
) -> None:
    """Close the blocking store here, and have each async one closed by its own loop."""
    for loop, store in of_loops:
        with suppress(RuntimeError):  # a loop that is closed took the connections with it
            loop.call_soon_threadsafe(_close_in, loop, store)
    if blocking is not None:
        translate_errors("close", lambda: run_sync(blocking.close()))


def _close_in(loop: "AbstractEventLoop", store: AsyncStore) -> None:
    task = loop.create_task(store.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: "Final[set[Task[None]]]" = set()
"""Keeps the tasks alive: a loop holds its tasks weakly."""


@cache
def _get_running_loop() -> "Callable[[], AbstractEventLoop]":
    import asyncio  # only async programs pay for it: 62 ms

    return asyncio.get_running_loop
