"""Single flight of work that blocks: done in a thread, for all who want it by then."""

import os
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Final, Generic, TypeVar, cast

from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.deadlines import DeadlineExceeded
from fibonacci.plugin._runtime.frames import copy_of
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.threads import NoThreadError, outcome, submit_to_thread
from fibonacci.plugin._runtime.waiters import ThreadWaiter, Waiter

T = TypeVar("T")


class ThreadSingleFlight(Generic[T]):
    """The first caller has the work begun in a thread; those who come meanwhile wait for it, too.

    It is done in a copy of the first caller's context.

    For what blocks and knows no deadline, such as the system's resolver, or a program that fetches
    credentials. Whoever is late leaves the work behind, which goes on, and may join it again: a
    server that hangs costs one thread, not one for each call. What runs for ``joined_for`` seconds
    is joined by nobody any more, as it may hang for ever.

    What the work raises, each caller gets as an exception of its own, made of the same ``args``.
    """

    def __init__(self, work: Callable[[], T], *, joined_for: float) -> None:
        self._work: Final = work
        self._joined_for: Final = joined_for
        self._running: dict[int, _Flight[T]] = {}  # a dict for its atomic setdefault

    def is_running(self) -> bool:
        """Say whether the work is being done."""
        return any(not flight.done for flight in list(self._running.values()))

    def begin(self) -> None:
        """Have the work begun, if it does not run, and wait for nothing."""
        self._join()

    def do(self, *, deadline: float) -> T:
        """Return what the work returns. Raises what it raises; DeadlineExceeded."""
        return run_sync(self.wait(ThreadWaiter, deadline))

    async def wait(self, waiter_type: type[Waiter], deadline: float) -> T:
        """Do the same, with a waiter for a thread or for a task."""
        waiter = waiter_type()
        flight = self._join()
        flight.join(waiter)
        await waiter.wait(deadline)
        return flight.result()

    def _join(self) -> "_Flight[T]":
        own = _Flight(self._work)
        process = os.getpid()  # the threads of a parent do nothing in its child
        flight = self._running.setdefault(process, own)
        if flight.done or monotonic() - flight.began > self._joined_for:
            self._running[process] = flight = own
        flight.start()  # whoever was the first may have been interrupted before
        return flight


class _Flight(Generic[T]):
    """One time that the work is done. Without a lock, which an interrupt could leave taken."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.began: Final = monotonic()
        self.done = False
        self._work: Final = work
        self._to_start: dict[None, bool] = {None: True}  # a dict for its atomic pop
        self._value: T | None = None
        self._fault: BaseException | None = None
        self._waiting: list[Waiter] = []

    def start(self) -> None:
        """Begin, unless it was begun; in this thread, if no other can be started any more."""
        try:
            if self._to_start.pop(None, False):
                submit_to_thread(partial(copy_context().run, self._run))
        except BaseException as fault:
            self._to_start[None] = True
            raise_for_signal(fault)
            if not isinstance(fault, NoThreadError) or not fault.at_exit:
                raise
            self._run()

    def _run(self) -> None:
        """Do the work, and wake all who wait."""
        if self.done:
            return
        self._value, self._fault = outcome(self._work)
        self.done = True
        while self._waiting:
            self._waiting.pop().wake()

    def join(self, waiter: Waiter) -> None:
        """Have the caller woken; twice, perhaps."""
        self._waiting.append(waiter)
        if self.done:  # maybe it had woken all before this one came
            waiter.wake()

    def result(self) -> T:
        """Return what was found; DeadlineExceeded while nothing is."""
        if not self.done:
            raise DeadlineExceeded
        if self._fault is not None:
            raise copy_of(self._fault) from self._fault
        return cast(T, self._value)
