"""The async methods of a backend that has only a sync store: its calls run in worker threads."""

import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.threads import NoThreadError, run_in_thread
from fibonacci.plugin._runtime.timing import DeadlineExceeded
from fibonacci.plugin._runtime.waiters import TaskWaiter, WaitQueue
from fibonacci.plugin.storage import AsyncStore

CALLS_TO_SERVER: Final = 64
"""Reads, and writes, at once for one store: they wait for a server most of their time."""

CALLS_TO_DISK: Final = 8
"""Reads, and writes, at once for a store within this machine."""

T = TypeVar("T")


class ThreadLimit:
    """How many calls of one store are in threads at once; further ones wait in a fair queue.

    Reads and writes have a limit each, so that writes that wait for a lock hold up no reader.
    """

    def __init__(self, store: AsyncStore) -> None:
        """Serve the tasks of any event loop."""
        calls = CALLS_TO_SERVER if store.retry_transient_errors else CALLS_TO_DISK
        self.reads = _Permits(calls)
        self.writes = _Permits(calls)


class _Permits:
    """A number of permits, counted by those that live: one that is dropped is free again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._given: list[weakref.ref[_Permit]] = []
        # One for each event loop: a loop that stands still holds up no other one.
        self._queues: weakref.WeakSet[WaitQueue[_Permit]] = weakref.WeakSet()

    def queue(self) -> "WaitQueue[_Permit]":
        """Return a queue for the tasks of the running loop."""
        queue = WaitQueue(self._take, TaskWaiter)
        self._queues.add(queue)
        return queue

    def _take(self) -> "_Permit | None":
        if len(self._given) >= self._limit:
            self._given = [given for given in self._given if given() is not None]
        if len(self._given) >= self._limit:
            return None
        permit = _Permit()
        # Not its __del__: while that runs, the permit still lives, and would be counted.
        self._given.append(weakref.ref(permit, self._dropped))
        return permit

    def _dropped(self, _: "weakref.ref[_Permit]") -> None:
        for queue in list(self._queues):
            queue.wake_first()


class _Permit:
    """The right to one call."""


def _in_thread(name: str, *, writes: bool = False) -> Any:
    async def call(store: "Threaded", *args: Any, deadline: float, **kwargs: Any) -> Any:
        queue = store.writes if writes else store.reads
        try:
            permit = await queue.acquire(deadline)
        except DeadlineExceeded:
            raise BackendUnavailableError(
                "the store was not asked: other calls of this process kept it busy until the "
                "deadline"
            ) from None
        method: Callable[..., Coroutine[Any, Any, Any]] = getattr(store.store, name)
        held = [permit]  # the thread's, also where this call is cancelled
        del permit
        work = partial(_held, held, partial(method, *args, deadline=deadline, **kwargs))
        try:
            return await run_in_thread(work)
        except NoThreadError:
            held.clear()  # a traceback may keep this frame
            raise BackendUnavailableError(
                "the store was not asked: the system starts no further thread"
            ) from None

    return call


def _held(permits: list[_Permit], work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do the work in its thread, and drop the permit at once."""
    try:
        return run_sync(work())
    finally:
        permits.clear()


class Threaded(AsyncStore):
    """A blocking store, awaited, for the tasks of one event loop.

    A caller that is cancelled stops waiting; its call goes on in the thread, to its deadline.
    """

    def __init__(self, store: AsyncStore, limit: ThreadLimit) -> None:
        """Wrap the store; closing this leaves it open."""
        self.store = store
        self.retry_transient_errors = store.retry_transient_errors
        self.reads = limit.reads.queue()
        self.writes = limit.writes.queue()

    read = _in_thread("read")
    write = _in_thread("write", writes=True)
    compare_and_set = _in_thread("compare_and_set", writes=True)
    remove = _in_thread("remove", writes=True)
    remaining_ttl_ms = _in_thread("remaining_ttl_ms")
    scan = _in_thread("scan")
    read_many = _in_thread("read_many")
    write_many = _in_thread("write_many", writes=True)
    remove_many = _in_thread("remove_many", writes=True)
    exists = _in_thread("exists")
    touch = _in_thread("touch", writes=True)
    clear = _in_thread("clear", writes=True)

    async def close(self) -> None:
        """Nothing to let go of."""
