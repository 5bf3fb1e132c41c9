"""How fast salts are tried that nobody knows yet: those that open nothing make the next one wait.

Whether a salt is a stranger's shows only when its key was derived, which takes 0.2 s of a processor
and 64 MiB. So a record that somebody planted costs as much as a good one, and a limit that refuses
would refuse good ones as well. This one has them wait, those who came last first: whoever plants
records again and again is not always the last.
"""

import sys
from collections.abc import Callable
from typing import Final

from fibonacci.errors import DecryptionError

SHARE: Final = 0.25
"""Part of one processor's time that salts which open nothing may take."""

CREDIT: Final = 6.0
"""Seconds by which that may be exceeded for once: some ten salts."""

PATIENCE: Final = 4.0
"""Seconds that a reader waits at most: a memory's own time-out is 5."""

CROWD: Final = 16
"""Readers that wait at most, each in its thread; one more, and who waits longest is refused."""

TICK: Final = 0.01
"""Seconds after which a reader that waits looks again."""


class Pace:
    """The turns of those who try a salt; no lock, so a signal's handler may come between."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        """Both count seconds."""
        self._clock = clock
        self._sleep = sleep
        self._paid_until = clock()
        """When the time that was taken so far is within the share again."""
        self._waiting: list[object] = []

    def is_free(self) -> bool:
        """Say whether a salt may be tried now."""
        return self._paid_until - self._clock() <= CREDIT

    def failed(self, seconds: float) -> None:
        """Note that a salt opened nothing, and how long its keys took."""
        self._paid_until = max(self._paid_until, self._clock()) + seconds / SHARE

    def patience(self) -> float:
        """Return until when a reader waits: not at all in an event loop, which it would hold up."""
        return self._clock() + (0 if _in_event_loop() else PATIENCE)

    def wait(self, end: float) -> None:
        """Return when a salt may be tried; DecryptionError at the end."""
        if self.is_free() and not self._waiting:
            return
        place = object()
        self._waiting.append(place)
        try:
            while not (self.is_free() and self._waiting[-1] is place):
                if self._clock() >= end or place not in self._waiting[-CROWD:]:
                    raise DecryptionError(_NOT_TRIED)
                self._sleep(TICK)
        finally:
            self._waiting.remove(place)


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # who has not imported it runs no loop
    return asyncio is not None and asyncio._get_running_loop() is not None


_NOT_TRIED: Final = (
    "no key was derived for the salt of this record: many others were tried just now, and opened "
    "nothing. Read it again in some seconds. If the others are good, add their passphrase to "
    "encryption_key; if not, somebody plants records: remove them, or use a key, which has no salt"
)
