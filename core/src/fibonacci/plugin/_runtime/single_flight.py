"""Single flight: concurrent callers share one execution of the same work."""

import os
import weakref
from collections.abc import Awaitable, Callable, Hashable
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Final, Generic, TypeVar, cast

from fibonacci.errors import FibonacciError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.errors import copy_error
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.threads import NoThreadError, capture_outcome, submit_to_thread
from fibonacci.plugin._runtime.timing import DeadlineExceeded
from fibonacci.plugin._runtime.waiters import ThreadWaiter, Waiter

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The first caller does the work; callers that come meanwhile get the same result.

    They get the same error of :mod:`fibonacci.errors`, too, unless the first caller's deadline
    caused it: then, or if the first caller was cancelled or interrupted, another caller does the
    work. Tasks share with tasks of their event loop, threads with threads of their process.
    """

    def __init__(self, waiter_type: type[Waiter]) -> None:
        self._waiter_type: Final = waiter_type
        self._flights: dict[Hashable, _Flight[T]] = {}  # a dict for its atomic setdefault

    async def do(self, work: Callable[[], Awaitable[T]], *, deadline: float) -> T:
        """Return what the work returns. Raises DeadlineExceeded at this caller's deadline."""
        domain = self._waiter_type.domain()
        while True:
            leader = _Leader()
            try:
                own = _Flight[T](leader)
                flight = self._flights.setdefault(domain, own)
                if flight is own:
                    return await self._lead(own, domain, work, deadline)
            finally:
                del leader  # a traceback may keep this frame: others must not wait for it
            await self._join(flight, domain, deadline)
            if flight.error is not None:
                raise copy_error(flight.error) from flight.error
            if flight.has_value:
                return flight.value

    async def _lead(
        self,
        flight: "_Flight[T]",
        domain: Hashable,
        work: Callable[[], Awaitable[T]],
        deadline: float,
    ) -> T:
        try:
            flight.set_value(await work())
        except FibonacciError as error:
            if monotonic() < deadline:
                flight.error = error
            raise
        finally:
            try:
                self._flights.pop(domain, None)
            finally:  # even if a signal handler raises just now
                flight.wake_all()
        return flight.value

    async def _join(self, flight: "_Flight[T]", domain: Hashable, deadline: float) -> None:
        """Wait for the work of another caller."""
        waiter = self._waiter_type()
        flight.join(waiter)
        await waiter.wait(deadline)
        if flight.has_value or flight.error is not None:
            return
        if flight.is_lost() and self._flights.get(domain) is flight:
            self._flights.pop(domain, None)  # an exception came before its first caller began
        if monotonic() >= deadline:
            raise DeadlineExceeded


class _Leader:
    """An object that lives as long as the call that does the work."""


class _Flight(Generic[T]):
    """One run of the work."""

    value: T

    def __init__(self, leader: _Leader) -> None:
        self._leader = weakref.ref(leader, self._lost)
        self.has_value = False
        self.error: FibonacciError | None = None
        self._over = False
        self._waiters: list[Waiter] = []

    def set_value(self, value: T) -> None:
        self.value, self.has_value = value, True

    def is_lost(self) -> bool:
        """Return whether the caller that did the work is gone."""
        return self._leader() is None

    def _lost(self, _: "weakref.ref[_Leader]") -> None:
        self.wake_all()

    def join(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)
        if self._over:  # perhaps after all others were woken
            waiter.wake()

    def wake_all(self) -> None:
        self._over = True
        while self._waiters:
            self._waiters.pop().wake()


class ThreadSingleFlight(Generic[T]):
    """The first caller starts the work in a thread; callers that come meanwhile wait for it, too.

    It runs in a copy of the first caller's context.

    For blocking work that takes no deadline, such as the system's resolver, or a program that
    fetches credentials. A caller whose deadline passes stops waiting; the work goes on, and the
    next call may join it: a server that hangs costs one thread, not one for each call. No caller
    joins work that has run for ``max_join_age`` seconds, as it may hang forever.

    If the work raises, each caller gets a copy of the exception, with the same ``args``.
    """

    def __init__(self, work: Callable[[], T], *, max_join_age: float) -> None:
        self._work: Final = work
        self._max_join_age: Final = max_join_age
        self._running: dict[int, _ThreadFlight[T]] = {}  # a dict for its atomic setdefault

    def is_running(self) -> bool:
        """Return whether the work is running."""
        return any(not flight.done for flight in list(self._running.values()))

    def start(self) -> None:
        """Start the work unless it is running; do not wait for it."""
        self._join()

    def do(self, *, deadline: float) -> T:
        """Return what the work returns. Raises what it raises, and DeadlineExceeded."""
        return run_sync(self.wait(ThreadWaiter, deadline))

    async def wait(self, waiter_type: type[Waiter], deadline: float) -> T:
        """Do the same as :meth:`do`, with a waiter for a thread or for a task."""
        waiter = waiter_type()
        flight = self._join()
        flight.join(waiter)
        await waiter.wait(deadline)
        return flight.result()

    def _join(self) -> "_ThreadFlight[T]":
        own = _ThreadFlight(self._work)
        process = os.getpid()  # the threads of a parent do nothing in its child
        flight = self._running.setdefault(process, own)
        if flight.done or monotonic() - flight.started_at > self._max_join_age:
            self._running[process] = flight = own
        flight.start()  # the first caller may have been interrupted before
        return flight


class _ThreadFlight(Generic[T]):
    """One run of the work. It has no lock, which an interrupt could leave taken."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.started_at: Final = monotonic()
        self.done = False
        self._work: Final = work
        self._to_start: dict[None, bool] = {None: True}  # a dict for its atomic pop
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiting: list[Waiter] = []

    def start(self) -> None:
        """Start the work unless it was started; in this thread, if no other can be started."""
        try:
            if self._to_start.pop(None, False):
                submit_to_thread(partial(copy_context().run, self._run))
        except BaseException as error:
            self._to_start[None] = True
            raise_for_signal(error)
            if not isinstance(error, NoThreadError) or not error.at_exit:
                raise
            self._run()

    def _run(self) -> None:
        """Do the work, and wake all waiting callers."""
        if self.done:
            return
        self._value, self._error = capture_outcome(self._work)
        self.done = True
        while self._waiting:
            self._waiting.pop().wake()

    def join(self, waiter: Waiter) -> None:
        """Have the caller woken, perhaps twice."""
        self._waiting.append(waiter)
        if self.done:  # perhaps after all others were woken
            waiter.wake()

    def result(self) -> T:
        """Return the result. Raises DeadlineExceeded if there is none yet."""
        if not self.done:
            raise DeadlineExceeded
        if self._error is not None:
            raise copy_error(self._error) from self._error
        return cast(T, self._value)
