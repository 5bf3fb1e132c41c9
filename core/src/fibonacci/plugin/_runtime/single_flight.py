"""Single flight: work that many callers want at once is done once, for all of them."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, Generic, TypeVar

from fibonacci.errors import FibonacciError
from fibonacci.plugin._runtime.deadlines import DeadlineExceeded
from fibonacci.plugin._runtime.waiters import Waiter

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The first caller does the work; those who come meanwhile get what it gets.

    They share an error of :mod:`fibonacci.errors` too, but for one that came of the first caller's
    own deadline: then, and where the first caller was cancelled or interrupted, one of the others
    does the work.
    """

    def __init__(self, waiter: type[Waiter]) -> None:
        self._waiter: Final = waiter
        self._flights: dict[None, _Flight[T]] = {}  # a dict for its atomic setdefault

    async def do(self, work: Callable[[], Awaitable[T]], *, deadline: float) -> T:
        """Return what the work returns. Raises DeadlineExceeded at this caller's deadline."""
        while True:
            own = _Flight[T]()
            flight = self._flights.setdefault(None, own)
            if flight is own:
                return await self._lead(own, work, deadline)
            waiter = self._waiter()
            flight.join(waiter)
            await waiter.wait(deadline)
            if flight.fault is not None:
                # Not the exception itself: several threads would raise it at the same time.
                raise type(flight.fault)(*flight.fault.args) from flight.fault
            if flight.landed:
                return flight.value
            if monotonic() >= deadline:
                raise DeadlineExceeded

    async def _lead(
        self, flight: "_Flight[T]", work: Callable[[], Awaitable[T]], deadline: float
    ) -> T:
        try:
            flight.land(await work())
        except FibonacciError as fault:
            if monotonic() < deadline:
                flight.fault = fault
            raise
        finally:
            try:
                self._flights.pop(None, None)
            finally:  # even if a signal handler raises just now
                flight.wake_all()
        return flight.value


class _Flight(Generic[T]):
    """One time that the work is done."""

    value: T

    def __init__(self) -> None:
        self.landed = False
        self.fault: FibonacciError | None = None
        self._over = False
        self._waiters: list[Waiter] = []

    def land(self, value: T) -> None:
        self.value, self.landed = value, True

    def join(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)
        if self._over:  # perhaps after all others were woken
            waiter.wake()

    def wake_all(self) -> None:
        self._over = True
        while self._waiters:
            self._waiters.pop().wake()
