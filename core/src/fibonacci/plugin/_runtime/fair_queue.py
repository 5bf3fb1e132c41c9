"""A queue of callers for something that there is too little of: a connection, a thread."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Final, Generic, TypeVar

from fibonacci.plugin._runtime.deadlines import DeadlineExceeded
from fibonacci.plugin._runtime.waiters import Waiter

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Callers are served first come, first served; who is first keeps the place until served.

    ``take`` returns something that is free, or None; only the first caller asks it, so it must
    give the same to all. Whoever frees something calls :meth:`wake`; so does what is dropped
    without notice, from its finalizer. No lock is held anywhere: a signal handler may raise, or
    use the queue itself, at each step.
    """

    def __init__(self, take: Callable[[], T | None], waiter: type[Waiter]) -> None:
        self._take = take
        self._waiter: Final = waiter
        # Its methods that are used here are one atomic step each; removal from the middle is fast.
        # A place stands there under its caller, as that waits in one place only.
        self._waiting: OrderedDict[Hashable, _Place] = OrderedDict()

    def __bool__(self) -> bool:
        """Say whether callers wait. One that comes then, and takes without waiting, is unfair."""
        return bool(self._waiting)

    async def get(self, deadline: float) -> T:
        """Return what ``take`` returns, as soon as it is this caller's turn.

        Raises DeadlineExceeded at the deadline.
        """
        if not self._waiting and (taken := self._take()) is not None:
            return taken
        place = _Place()
        name = self._waiter.caller()
        # A signal handler that comes amid a wait of its own thread goes first: that one can't go on
        # before the handler has returned.
        is_nested = name in self._waiting
        if is_nested:
            name = place
        try:
            self._waiting[name] = place
            if is_nested:
                self._waiting.move_to_end(name, last=False)
            return await self._served(place, deadline)
        finally:
            try:
                self._waiting.pop(name, None)
            finally:  # even if a signal handler raises just now
                # The next one, too, may find something: more may be free than was waited for.
                self.wake()

    async def _served(self, place: "_Place", deadline: float) -> T:
        while True:
            waiter = place.waiter = self._waiter()  # first: what is freed from now on wakes it
            if self._first() is place and (taken := self._take()) is not None:
                return taken
            if monotonic() >= deadline:
                raise DeadlineExceeded
            await waiter.wait(deadline)

    def wake(self) -> None:
        """Have the first caller look again. From any thread; it waits for nothing."""
        first = self._first()
        if first is not None and first.waiter is not None:
            first.waiter.wake()

    def _first(self) -> "_Place | None":
        while True:
            try:
                return next(iter(self._waiting.values()), None)
            except RuntimeError:  # changed by another thread, between the two steps
                continue


class _Place:
    """A caller's place in the queue."""

    waiter: Waiter | None = None
