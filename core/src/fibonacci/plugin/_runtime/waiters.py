"""Waiting for one event, in a thread or in a task. Safe from signal handlers and finalizers."""

import os
from abc import ABC, abstractmethod
from collections.abc import Hashable
from contextlib import suppress
from math import inf
from threading import TIMEOUT_MAX, Lock, get_ident
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Future


class Waiter(ABC):
    """Waits for one event: made by the one that waits, woken by anybody."""

    owner: Hashable
    """The ``caller`` that made it."""

    @staticmethod
    @abstractmethod
    def caller() -> Hashable:
        """Return which thread calls, or which task."""

    @staticmethod
    @abstractmethod
    def domain() -> Hashable:
        """Return what its callers have in common: the process, or the event loop."""

    @abstractmethod
    def wake(self) -> None:
        """Let ``wait`` return, also where it is called only later.

        From any thread, any number of times; it waits for nothing and raises nothing.
        """

    @abstractmethod
    async def wait(self, deadline: float) -> None:
        """Return when woken, or at the deadline: the caller looks at which it was.

        ``math.inf`` is no deadline.
        """


class ThreadWaiter(Waiter):
    """Blocks its thread.

    A bare lock, which has no lock of its own that a signal could leave taken, as
    `threading.Event` has.
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
            self.wake()  # it stays so, for whoever waits again


class TaskWaiter(Waiter):
    """Suspends its task; made within the running event loop."""

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
