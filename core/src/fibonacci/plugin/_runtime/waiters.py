"""Waiting for one event, or for a resource. Safe from signal handlers and finalizers."""

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from math import inf
from threading import TIMEOUT_MAX, Lock, get_ident
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from fibonacci.plugin._runtime.timing import DeadlineExceeded

if TYPE_CHECKING:
    from asyncio import Future


class Waiter(ABC):
    """Waits for one event: created by the caller that waits, woken by any other."""

    owner: Hashable
    """The ``caller`` that created it."""

    @staticmethod
    @abstractmethod
    def caller() -> Hashable:
        """Return the identity of the calling thread or task."""

    @staticmethod
    @abstractmethod
    def domain() -> Hashable:
        """Return what concurrent callers have in common: the process, or the event loop."""

    @abstractmethod
    def wake(self) -> None:
        """Make ``wait`` return, also a ``wait`` that is called later.

        May be called from any thread, any number of times; never blocks, never raises.
        """

    @abstractmethod
    async def wait(self, deadline: float) -> None:
        """Return when woken, or at the deadline; the caller checks which it was.

        ``math.inf`` means no deadline.
        """


class ThreadWaiter(Waiter):
    """Blocks its thread.

    A bare lock: `threading.Event` has an inner lock, which a signal could leave taken.
    """

    caller = staticmethod(get_ident)
    domain = staticmethod(os.getpid)

    def __init__(self) -> None:
        self.owner = get_ident()
        self._lock = Lock()
        self._lock.acquire()

    def wake(self) -> None:
        with suppress(RuntimeError):  # woken already
            self._lock.release()

    async def wait(self, deadline: float) -> None:
        seconds = max(0.0, deadline - monotonic())
        if self._lock.acquire(timeout=seconds if seconds < TIMEOUT_MAX else -1):
            self.wake()  # for a caller that waits again


class TaskWaiter(Waiter):
    """Suspends its task; created within the running event loop."""

    def __init__(self) -> None:
        import asyncio  # only async programs pay for it: 62 ms

        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self.owner = self.caller()
        self._is_woken = False
        self._waits: list[Future[None]] = []

    @staticmethod
    def domain() -> Hashable:
        import asyncio

        return asyncio.get_running_loop()

    @staticmethod
    def caller() -> Hashable:
        import asyncio

        # No reference: a loop may leave its tasks to be collected.
        return id(asyncio.current_task())

    def wake(self) -> None:
        if self._thread == get_ident() and not self._loop.is_closed():
            self._wake()
            return
        with suppress(RuntimeError):  # the loop is closed, and its tasks with it
            self._loop.call_soon_threadsafe(self._wake)

    async def wait(self, deadline: float) -> None:
        if self._is_woken:
            return
        ended = self._loop.create_future()
        self._waits.append(ended)
        timer = None
        if deadline != inf:
            timer = self._loop.call_later(max(0.0, deadline - monotonic()), _end, ended)
        try:
            await ended
        finally:
            self._waits.remove(ended)
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        self._is_woken = True
        for ended in self._waits:
            _end(ended)


def _end(wait: "Future[None]") -> None:
    if not wait.done():
        wait.set_result(None)


T = TypeVar("T")


class WaitQueue(Generic[T]):
    """Callers that wait for a resource, such as a connection or a permit; first come, first served.

    ``try_acquire`` returns a free resource, or None. Only the first caller in the queue calls it,
    so it must treat all callers alike. The code that releases a resource calls :meth:`wake_first`.
    For a resource that may be dropped without a release, the callback of a weak reference calls it
    (not ``__del__``: the object is still alive while that runs). There is no lock: a signal handler
    may raise, or use the queue itself, at each step.
    """

    def __init__(self, try_acquire: Callable[[], T | None], waiter_type: type[Waiter]) -> None:
        self._try_acquire = try_acquire
        self._waiter_type: Final = waiter_type
        # Each method that is used here is one atomic step, and removal from the middle is fast.
        # The key of a ticket is its caller, as a caller waits for one ticket at a time.
        self._tickets: OrderedDict[Hashable, _Ticket] = OrderedDict()

    def __bool__(self) -> bool:
        """Return whether callers wait: a new caller must not take a resource before them."""
        return bool(self._tickets)

    async def acquire(self, deadline: float) -> T:
        """Return a resource as soon as it is this caller's turn.

        Raises DeadlineExceeded at the deadline.
        """
        if not self._tickets and (resource := self._try_acquire()) is not None:
            return resource
        ticket = _Ticket()
        key = self._waiter_type.caller()
        # A signal handler that runs while its own thread waits goes first: that thread can't go on
        # before the handler has returned.
        is_nested = key in self._tickets
        if is_nested:
            key = ticket
        try:
            self._tickets[key] = ticket
            if is_nested:
                self._tickets.move_to_end(key, last=False)
            return await self._wait(ticket, deadline)
        finally:
            try:
                self._tickets.pop(key, None)
            finally:  # even if a signal handler raises just now
                # The next caller may succeed, too: more may be free than was waited for.
                self.wake_first()

    async def _wait(self, ticket: "_Ticket", deadline: float) -> T:
        while True:
            # First of all: a release from now on wakes it.
            waiter = ticket.waiter = self._waiter_type()
            if self._first() is ticket and (resource := self._try_acquire()) is not None:
                return resource
            if monotonic() >= deadline:
                raise DeadlineExceeded
            await waiter.wait(deadline)

    def wake_first(self) -> None:
        """Have the first caller try again. Never blocks; may be called from any thread."""
        first = self._first()
        if first is not None and first.waiter is not None:
            first.waiter.wake()

    def _first(self) -> "_Ticket | None":
        while True:
            try:
                return next(iter(self._tickets.values()), None)
            except RuntimeError:  # changed by another thread, between the two steps
                continue


class _Ticket:
    """A caller's position in the queue."""

    waiter: Waiter | None = None
