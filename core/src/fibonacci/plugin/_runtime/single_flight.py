"""Single flight: work that many callers want at once is done once, for all of them."""

import weakref
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Final, Generic, TypeVar

from fibonacci.errors import FibonacciError
from fibonacci.plugin._runtime.deadlines import DeadlineExceeded
from fibonacci.plugin._runtime.frames import copy_of
from fibonacci.plugin._runtime.waiters import Waiter

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The first caller does the work; those who come meanwhile get what it gets.

    They share an error of :mod:`fibonacci.errors` too, but for one that came of the first caller's
    own deadline: then, and where the first caller was cancelled or interrupted, one of the others
    does the work. Tasks share with those of their own loop, threads with those of their process.
    """

    def __init__(self, waiter: type[Waiter]) -> None:
        self._waiter: Final = waiter
        self._flights: dict[Hashable, _Flight[T]] = {}  # a dict for its atomic setdefault

    async def do(self, work: Callable[[], Awaitable[T]], *, deadline: float) -> T:
        """Return what the work returns. Raises DeadlineExceeded at this caller's deadline."""
        domain = self._waiter.domain()
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
            if flight.fault is not None:
                raise copy_of(flight.fault) from flight.fault
            if flight.landed:
                return flight.value

    async def _lead(
        self,
        flight: "_Flight[T]",
        domain: Hashable,
        work: Callable[[], Awaitable[T]],
        deadline: float,
    ) -> T:
        try:
            flight.land(await work())
        except FibonacciError as fault:
            if monotonic() < deadline:
                flight.fault = fault
            raise
        finally:
            try:
                self._flights.pop(domain, None)
            finally:  # even if a signal handler raises just now
                flight.wake_all()
        return flight.value

    async def _join(self, flight: "_Flight[T]", domain: Hashable, deadline: float) -> None:
        """Wait for what somebody else does."""
        waiter = self._waiter()
        flight.join(waiter)
        await waiter.wait(deadline)
        if flight.landed or flight.fault is not None:
            return
        if flight.is_lost() and self._flights.get(domain) is flight:
            self._flights.pop(domain, None)  # an exception came before its first caller began
        if monotonic() >= deadline:
            raise DeadlineExceeded


class _Leader:
    """Lives as long as the call that does the work."""


class _Flight(Generic[T]):
    """One time that the work is done."""

    value: T

    def __init__(self, leader: _Leader) -> None:
        self._leader = weakref.ref(leader, self._lost)
        self.landed = False
        self.fault: FibonacciError | None = None
        self._over = False
        self._waiters: list[Waiter] = []

    def land(self, value: T) -> None:
        self.value, self.landed = value, True

    def is_lost(self) -> bool:
        """Say whether nobody does the work any more."""
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
