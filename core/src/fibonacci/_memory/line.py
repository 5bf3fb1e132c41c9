"""The line of those who lost a compare-and-set: one goes after another, not against all others.

Writers of one record that ask anew at random moments lose to each other again and again: a hundred
tasks that incremented one number made 4,400 requests. In a line they make 400.

The line is a courtesy, and no lock: the compare-and-set alone keeps changes whole. So nobody waits
for one who stands before beyond that one's own deadline, who goes out of turn costs a request, and
a first attempt waits for nobody. A line holds for one voice of one process; against all others
there is the random pause.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Protocol

from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import AsyncStore


class Gate(Protocol):
    """Shut at first, and opened once for all who wait."""

    def open(self) -> None:
        """Let those who wait go on, and who comes later. Waits for nothing itself."""

    async def wait(self, seconds: float) -> None:
        """Wait until it is open, but not longer than this."""


class ThreadGate:
    """A gate among threads: a bare lock, as a `threading.Event` has to take one to be set."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def open(self) -> None:
        self._lock.release()

    async def wait(self, seconds: float) -> None:
        if self._lock.acquire(timeout=seconds):
            self._lock.release()


class TaskGate:
    """A gate among the tasks of an event loop."""

    def __init__(self) -> None:
        import asyncio  # only async programs pay for it: 62 ms

        self._opened = asyncio.Event()
        self._timeout = asyncio.timeout

    def open(self) -> None:
        with suppress(RuntimeError):  # a loop that is closed: its tasks are garbage, as this one is
            self._opened.set()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with self._timeout(seconds):
                await self._opened.wait()


class Place:
    """Where somebody stands in a line."""

    def __init__(self, deadline: float, done: Gate) -> None:
        self.deadline = deadline
        self.done = done


class Line:
    """The lines of one store, one for each record that somebody lost at."""

    def __init__(self, gate: Callable[[], Gate]) -> None:
        self._gate = gate
        self._last: dict[Address, Place] = {}

    def place(self, deadline: float) -> Place:
        """Return a place that is in no line yet."""
        return Place(deadline, self._gate())

    async def wait(self, place: Place, address: Address) -> None:
        """Stand behind those who wait already, until the last of them is done, or out of time."""
        before = self._last.get(address)
        self._last[address] = place
        if before is not None:
            patience = min(before.deadline, place.deadline) - monotonic()
            await before.done.wait(max(patience, 0))

    def leave(self, place: Place, address: Address) -> None:
        """Let the next one go."""
        if self._last.get(address) is place:
            self._last.pop(address, None)  # another thread may have come, and gone, since
        place.done.open()


class Contest:
    """What one caller does about a record that others change too, from its first loss on."""

    def __init__(self, address: Address, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        self._lost = 0
        self._place: tuple[Line, Place] | None = None

    async def lost(self, store: AsyncStore) -> None:
        """Wait until an attempt makes sense; ConflictError where that is beyond the deadline."""
        self._lost += 1
        line: Line | None = getattr(store, "line", None)  # a store in this process has none
        if self._place is None and line is not None:
            # Noted first: whatever ends the wait, those behind are let go.
            self._place = line, line.place(self._deadline)
            await line.wait(self._place[1], self._address)
            if monotonic() < self._deadline:
                return
        await store.pause(self._lost, self._address, deadline=self._deadline)

    def end(self) -> None:
        """Let the next one go."""
        if self._place is not None:
            line, place = self._place
            line.leave(place, self._address)
