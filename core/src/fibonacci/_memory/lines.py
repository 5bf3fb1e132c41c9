"""Lines of callers who change one record: those of a process go one after another.

Callers who compare and set against each other, and ask anew at random moments, lose again and
again: a hundred tasks that incremented one number made 4,400 requests. In a line each makes one:
whoever is done hands on what it wrote, and the next one need not read.

A line is a courtesy, and no lock: the compare-and-set alone keeps changes whole. So nobody is bound
to it: where it stands still for a moment, the next one goes out of turn. It holds for one voice of
one process; against all others there is the random pause.
"""

from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import Final

from fibonacci._memory.gates import Gate
from fibonacci.errors import ConflictError
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import AsyncStore

PATIENCE: Final = 0.25
"""Seconds that a line may stand still, and once more as many until it is seen."""

IN_A_ROW: Final = 8
"""Callers who hand on what they wrote. Then one reads: in that time another process may win."""


class Place:
    """Where a caller stands."""

    gate: Gate
    """What it waits at, if it has to wait."""

    def __init__(self, caller: Hashable) -> None:
        self.caller = caller
        self.handed: bytes | None = None
        """What the one before wrote; None, if it has to be read."""


class Line:
    """The callers at one record."""

    def __init__(self, front: Place) -> None:
        self.front = front
        self.waiting: deque[Place] = deque()
        self.moved = monotonic()
        self.in_a_row = 0

    def move(self, written: bytes | None) -> None:
        """Let the next one go."""
        self.front = self.waiting.popleft()
        self.moved = monotonic()
        self.in_a_row = 0 if written is None or self.in_a_row == IN_A_ROW else self.in_a_row + 1
        self.front.handed = written if self.in_a_row else None
        self.front.gate.open()


class Lines:
    """The lines of one store: one for each record that is being changed."""

    def __init__(self, gate: type[Gate]) -> None:
        self._gate = gate
        self._lines: dict[Address, Line] = {}
        # A signal handler may come here in the midst of this.
        self._lock = RLock()

    def place(self) -> Place:
        """Return a place for the caller, in no line yet."""
        return Place(self._gate.caller())

    async def enter(self, place: Place, address: Address, deadline: float) -> None:
        """Stand in the record's line until the turn has come; ConflictError at the deadline.

        A caller who would wait for itself waits for nobody: the function given to ``update`` may
        change the record, and so may a signal handler.
        """
        with self._lock:
            line = self._lines.setdefault(address, Line(place))
            if line.front.caller == place.caller:
                return
            place.gate = self._gate()
            line.waiting.append(place)
        patience = min(PATIENCE, (deadline - monotonic()) / 4)
        while line.front is not place and not self._goes_out_of_turn(place, line, patience):
            left = deadline - monotonic()
            if left <= 0:
                raise ConflictError(
                    f"gave up on {address}: other callers changed it until the deadline. Raise "
                    f"the timeout, or let fewer writers share one record"
                )
            await place.gate.wait(min(left, patience))

    def _goes_out_of_turn(self, place: Place, line: Line, patience: float) -> bool:
        with self._lock:
            is_next = bool(line.waiting) and line.waiting[0] is place
            if not is_next or monotonic() < line.moved + patience:
                return False
            line.move(None)
            return True

    def leave(self, place: Place, address: Address, written: bytes | None) -> None:
        """Let the next one go, with what was written, if something was."""
        with self._lock:
            line = self._lines.get(address)
            if line is None:
                return
            if line.front is not place:  # it gave up, or another one went out of turn
                with suppress(ValueError):
                    line.waiting.remove(place)
            elif line.waiting:
                line.move(written)
            else:
                del self._lines[address]

    def forget(self) -> None:
        """Start anew in a forked child, where nobody else stands in line."""
        self._lines, self._lock = {}, RLock()


class Contest:
    """One caller's attempts to change one record by compare-and-set."""

    def __init__(self, store: AsyncStore, address: Address, deadline: float) -> None:
        lines = getattr(store, "lines", None)
        self._lines = lines if isinstance(lines, Lines) else None  # none for one in this process
        self._address = address
        self._deadline = deadline
        self._lost = 0
        self._place: Place | None = None
        self.written: bytes | None = None
        """What was written, for the next one."""

    async def read(self, store: AsyncStore) -> bytes | None:
        """Return what the record holds, or should: whoever was before it left word.

        Before the first attempt it waits for its turn. Raises ConflictError where that does not
        come by the deadline.
        """
        if self._lines is not None:
            if self._place is None:
                self._place = self._lines.place()
                await self._lines.enter(self._place, self._address, self._deadline)
            handed, self._place.handed = self._place.handed, None
            if handed is not None:
                return handed
        return await store.read(self._address, deadline=self._deadline)

    async def lost(self, store: AsyncStore) -> None:
        """Pause after an attempt that was lost; ConflictError at the deadline."""
        self._lost += 1
        await store.pause(self._lost, self._address, deadline=self._deadline)

    def end(self) -> None:
        """Let the next one go."""
        if self._lines is not None and self._place is not None:
            self._lines.leave(self._place, self._address, self.written)
