"""One caller's attempts to change one record by compare-and-set."""

from time import monotonic
from typing import Any

from fibonacci._memory.lines import Lines, Place
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import ABSENT, KEEP_TTL, Absent, KeepTTL


class Contest:
    """Reads, and compares and sets, in turns with the other callers of the process."""

    def __init__(self, lease: Any, address: Address, deadline: float) -> None:
        # The lease of either voice.
        self._lines: Lines | None = lease.store._lines
        self._lease = lease
        self._address = address
        self._deadline = deadline
        self._lost = 0
        self._place: Place | None = None
        self._written: bytes | None = None
        self._sent = 0.0

    async def read(self) -> bytes | None:
        """Return what the record holds, or should: whoever was before it left word.

        It waits for its turn first. Raises ConflictError where that has not come by the deadline,
        and BackendUnavailableError where nobody was answered by then.
        """
        if self._lines is not None:
            if self._place is None or self._place.line is None:  # none yet, or it was passed
                self._place = self._lines.place(self._address, self._deadline)
                await self._lines.enter(self._place)
            handed, self._place.handed = self._place.handed, None
            if handed is not None:
                return handed
        found: bytes | None
        found = await self._lease.store.read(self._address, deadline=self._deadline)
        return found

    async def swap(self, found: bytes | None, data: bytes, ttl_ms: int | None) -> bool:
        """Write if the record holds what was found; if not, pause and return False.

        A new record gets the expiry, another keeps its own. Raises ConflictError at the deadline.
        """
        expected: bytes | Absent = ABSENT if found is None else found
        expiry: int | KeepTTL | None = ttl_ms if found is None else KEEP_TTL
        store = self._lease.store  # anew: the memory may have been closed meanwhile
        self._sent = monotonic()
        won: bool = await store.compare_and_set(
            self._address, expected, data, expiry, deadline=self._deadline
        )
        if self._place is not None and self._place.line is not None:
            self._place.line.answers += 1
        if won:
            self._written = data
            return True
        self._lost += 1
        await store.pause(self._lost, self._address, deadline=self._deadline)
        return False

    def end(self) -> None:
        """Let the next one go."""
        if self._lines is not None and self._place is not None:
            self._lines.leave(self._place, self._written, self._sent)
