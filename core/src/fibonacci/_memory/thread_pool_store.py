"""The async store of a backend that has only a blocking one: its calls run in worker threads."""

import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.threads import NoThreadError, run_in_thread
from fibonacci.plugin._runtime.timing import DeadlineExceeded
from fibonacci.plugin._runtime.waiters import TaskWaiter, WaitQueue
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import AsyncStore

MAX_SERVER_CALLS: Final = 64
"""Concurrent reads, and as many writes, of one store: mostly they wait for a server."""

MAX_DISK_CALLS: Final = 8
"""Concurrent reads, and as many writes, of a store on this machine."""

T = TypeVar("T")


class ThreadLimits:
    """How many calls of one store run in threads at a time; further ones wait in a fair queue.

    Reads and writes have a limit each, so that writes that wait for a lock delay no reader.
    """

    def __init__(self, store: AsyncStore) -> None:
        """Create limits that the tasks of all event loops share."""
        limit = MAX_SERVER_CALLS if store.retry_transient_errors else MAX_DISK_CALLS
        self.reads = _Semaphore(limit)
        self.writes = _Semaphore(limit)


class _Semaphore:
    """A number of permits, held by reference: a permit that is collected is free again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._permits: list[weakref.ref[_Permit]] = []
        # One for each event loop: a loop that is blocked delays no other.
        self._queues: weakref.WeakSet[WaitQueue[_Permit]] = weakref.WeakSet()

    def queue(self) -> "WaitQueue[_Permit]":
        """Return a queue for the tasks of the running loop."""
        queue = WaitQueue(self._acquire, TaskWaiter)
        self._queues.add(queue)
        return queue

    def _acquire(self) -> "_Permit | None":
        if len(self._permits) >= self._limit:
            self._permits = [permit for permit in self._permits if permit() is not None]
        if len(self._permits) >= self._limit:
            return None
        permit = _Permit()
        # Not in its __del__: while that runs, the permit still lives, and would be counted.
        self._permits.append(weakref.ref(permit, self._on_release))
        return permit

    def _on_release(self, _: "weakref.ref[_Permit]") -> None:
        for queue in list(self._queues):
            queue.wake_first()


class _Permit:
    """The right to one call."""


def _in_worker_thread(name: str, *, writes: bool = False) -> Any:
    async def call(store: "ThreadPoolStore", *args: Any, deadline: float, **kwargs: Any) -> Any:
        queue = store.writes if writes else store.reads
        try:
            permit = await queue.acquire(deadline)
        except DeadlineExceeded:
            raise BackendUnavailableError(
                "the request was not sent: other calls of this process kept the store busy until "
                "the deadline"
            ) from None
        method: Callable[..., Coroutine[Any, Any, Any]] = getattr(store.store, name)
        permits = [permit]  # the thread's, even if this call is cancelled
        del permit
        work = partial(_run, permits, partial(method, *args, deadline=deadline, **kwargs))
        try:
            return await run_in_thread(work)
        except NoThreadError:
            permits.clear()  # a traceback may keep this frame
            raise BackendUnavailableError(
                "the request was not sent: the system starts no further thread"
            ) from None

    return call


def _run(permits: list[_Permit], call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a call in its thread, and release the permit at once."""
    try:
        return run_sync(call())
    finally:
        permits.clear()


class ThreadPoolStore(AsyncStore):
    """A blocking store for the tasks of one event loop, run in threads.

    A task that is cancelled stops waiting; its call goes on in the thread, until its deadline.
    """

    def __init__(self, store: AsyncStore, limits: ThreadLimits) -> None:
        """Wrap the store; closing this leaves it open."""
        self.store = store
        self.retry_transient_errors = store.retry_transient_errors
        self.reads = limits.reads.queue()
        self.writes = limits.writes.queue()

    read = _in_worker_thread("read")
    write = _in_worker_thread("write", writes=True)
    compare_and_set = _in_worker_thread("compare_and_set", writes=True)
    remove = _in_worker_thread("remove", writes=True)
    remaining_ttl_ms = _in_worker_thread("remaining_ttl_ms")
    scan = _in_worker_thread("scan")
    read_many = _in_worker_thread("read_many")
    write_many = _in_worker_thread("write_many", writes=True)
    remove_many = _in_worker_thread("remove_many", writes=True)
    exists = _in_worker_thread("exists")
    touch = _in_worker_thread("touch", writes=True)
    clear = _in_worker_thread("clear", writes=True)

    def check_size(self, address: Address, data: bytes) -> None:
        """Ask the store in this thread: it sends no request."""
        self.store.check_size(address, data)

    async def close(self) -> None:
        """Nothing to close."""
