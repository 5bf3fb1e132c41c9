"""Limits how fast unknown salts are tried: those that match no key delay the next one.

Whether a salt belongs to a passphrase shows only after deriving its key, which takes 0.2 s of CPU
time and 64 MiB. So a forged record costs as much as a valid one, and a limit that refuses would
refuse valid ones as well. This one queues readers, last in, first out: the reader of forged records
that comes again and again is not always the last.
"""

import sys
from collections.abc import Callable
from typing import Final

from fibonacci.errors import DecryptionError

CPU_SHARE: Final = 0.25
"""Fraction of one CPU's time that failed derivations may take."""

BURST: Final = 6.0
"""Seconds by which that may be exceeded at once: about ten salts."""

WAIT_TIMEOUT: Final = 4.0
"""Seconds that a reader waits at most: a memory's own timeout is 5."""

MAX_WAITERS: Final = 16
"""Readers waiting at most, each in its thread; one more, and the one waiting longest is refused."""

POLL_INTERVAL: Final = 0.01
"""Seconds between two checks of a waiting reader."""


class DerivationLimiter:
    """The queue of readers with an unknown salt. It has no lock, so signal handlers may use it."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        """Both count seconds."""
        self._clock = clock
        self._sleep = sleep
        self._paid_until = clock()
        """When the time taken so far is within the share again."""
        self._waiters: list[object] = []

    def is_open(self) -> bool:
        """Return whether a salt may be tried now."""
        return self._paid_until - self._clock() <= BURST

    def record_failure(self, seconds: float) -> None:
        """Record that a salt matched no key, and how long its derivations took."""
        self._paid_until = max(self._paid_until, self._clock()) + seconds / CPU_SHARE

    def deadline(self) -> float:
        """Return when a reader stops waiting: now, in an event loop, which it would block."""
        return self._clock() + (0 if _in_event_loop() else WAIT_TIMEOUT)

    def wait(self, deadline: float) -> None:
        """Wait until a salt may be tried. Raises DecryptionError at the deadline."""
        if self.is_open() and not self._waiters:
            return
        waiter = object()
        self._waiters.append(waiter)
        try:
            while not (self.is_open() and self._waiters[-1] is waiter):
                if self._clock() >= deadline or waiter not in self._waiters[-MAX_WAITERS:]:
                    raise DecryptionError(_NOT_TRIED)
                self._sleep(POLL_INTERVAL)
        finally:
            self._waiters.remove(waiter)


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # without the import no loop runs
    return asyncio is not None and asyncio._get_running_loop() is not None


_NOT_TRIED: Final = (
    "no key was derived for the salt of this record, because too many other salts just now matched "
    "no passphrase. Read it again in a few seconds. If the other records are yours, add their "
    "passphrase to encryption_key; if they are forged, delete them, or use a key, which has no salt"
)
