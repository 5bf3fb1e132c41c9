"""Lines of callers who change one record: those of a process go one after another.

Callers who compare and set against each other, and ask anew at random moments, lose again and
again: a hundred tasks that incremented one number made 4,400 requests. In a line each makes one:
whoever is done hands on what it wrote, and the next one need not read.

A line is a courtesy, and no lock: the compare-and-set alone keeps changes whole. So nobody is bound
to it: a line that stands still is passed by whoever is next. It holds for the threads of a process,
or the tasks of an event loop; against all others there is the random pause.
"""

from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError, ConflictError, StorageError
from fibonacci.plugin._runtime.waiters import Waiter
from fibonacci.plugin.address import Address

PATIENCE: Final = 0.25
"""Seconds for which a line may stand still. Whoever is next looks as often, so it may be twice."""

IN_A_ROW: Final = 8
"""Callers who are handed what the one before wrote. Then one reads: in that time another process,
which has to read, may win."""


class Place:
    """Where a caller stands."""

    waiter: Waiter
    """If it has to wait."""

    def __init__(self, address: Address, deadline: float, caller: Hashable) -> None:
        self.address = address
        self.deadline = deadline
        self.caller = caller
        self.came = monotonic()
        self.line: Line | None = None
        """None before, after, and when it was passed."""
        self.has_turn = False
        self.handed: bytes | None = None
        """What the one before wrote; None, if it has to be read."""


class Line:
    """The callers at one record."""

    def __init__(self, front: Place) -> None:
        self.front = front
        self.waiting: deque[Place] = deque()
        self.callers = {front.caller}
        """In front and waiting."""
        self.moved = monotonic()
        """When the front came there."""
        self.in_a_row = 0
        """How many have been handed something since one has read."""
        self.answers = 0
        """How many attempts the store has answered."""

    def move(self, written: bytes | None = None, sent: float = 0.0) -> None:
        """Let the next one go, with what was written.

        It is not for those who came after that was sent: somebody may have replaced it before they
        called, and they would fail at something that was gone. An exception may end this anywhere,
        as a signal handler raises one: then the next one sees it for itself, a little later.
        """
        front = self.waiting[0]
        self.callers.discard(self.front.caller)
        self.front, self.moved = front, monotonic()
        if written is None or front.came >= sent or self.in_a_row == IN_A_ROW:
            self.in_a_row = 0
        else:
            self.in_a_row += 1
            front.handed = written
        front.has_turn = True
        self.waiting.popleft()
        front.waiter.wake()


class Lines:
    """The lines of one store: one for each record that is being changed."""

    def __init__(self, waiter: type[Waiter]) -> None:
        self._waiter: Final = waiter
        self._lines: dict[Address, Line] = {}
        self._lock: Any = RLock()

    def place(self, address: Address, deadline: float) -> Place:
        """Return a place for the caller, in no line yet."""
        return Place(address, deadline, self._waiter.caller())

    async def enter(self, place: Place) -> None:
        """Stand in the record's line until the turn has come.

        A caller who stands there already does not wait for itself: the function given to ``update``
        may change the record, and so may a signal handler, even one that comes in the midst of
        this. Raises what `_late` says at the deadline.
        """
        if self._lock._is_owned():  # as threading.Condition asks it
            return
        with self._lock:
            line = self._lines.get(place.address)
            if line is None:
                place.line = self._lines[place.address] = Line(place)
                return
            if place.caller in line.callers:
                return
            place.waiter = self._waiter()
            line.callers.add(place.caller)
            line.waiting.append(place)
            place.line = line
        await self._turn(place, line)

    async def _turn(self, place: Place, line: Line) -> None:
        answers, now = line.answers, monotonic()
        patience = min(PATIENCE, (place.deadline - now) / 4)  # so that time is left for an attempt
        while not (place.has_turn or self._passes(place, line, patience)):
            left = place.deadline - monotonic()
            if left <= 0:
                raise _late(place.address, answered=line.answers > answers)
            await place.waiter.wait(monotonic() + min(left, patience))

    def _passes(self, place: Place, line: Line, patience: float) -> bool:
        """Go out of turn if the line stands still; say whether the turn has come."""
        with self._lock:
            is_next = bool(line.waiting) and line.waiting[0] is place
            if not is_next or monotonic() < line.moved + patience:
                return place.has_turn
            line.front.line = None
            line.move()
            return True

    def leave(self, place: Place, written: bytes | None, sent: float) -> None:
        """Let the next one go, with what was written, and when that was sent."""
        line, place.line = place.line, None
        if line is None:
            return
        with self._lock:
            if line.front is not place:
                line.callers.discard(place.caller)
                with suppress(ValueError):
                    line.waiting.remove(place)
                return
            # It still waits, too, where an exception came in the midst of `move`.
            if line.waiting and line.waiting[0] is place:
                line.waiting.popleft()
            if line.waiting:
                line.move(written, sent)
            elif self._lines.get(place.address) is line:  # not in a child that was born meanwhile
                del self._lines[place.address]

    def forget(self) -> None:
        """Start anew in a forked child, where nobody else stands in line."""
        self._lines, self._lock = {}, RLock()


def _late(address: Address, *, answered: bool) -> StorageError:
    if answered:
        return ConflictError(
            f"gave up on {address}: other callers changed it until the deadline. Raise the "
            f"timeout, or let fewer writers share one record"
        )
    return BackendUnavailableError(
        f"gave up on {address}: those of this process who came before got no answer, until the "
        f"deadline"
    )
