"""Deadlines, pauses between attempts, and expiry."""

from random import SystemRandom
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Final, overload

if TYPE_CHECKING:
    from asyncio import Timeout


TIMER_EARLY: Final = 0.002
"""Seconds by which uvloop's timers may fire too early: its clock counts whole milliseconds. Other
code reads the monotonic clock at the deadline, and would find that there is time left."""

_random: Final = SystemRandom()
"""Not the functions of `random`: they would disturb a sequence that the application has seeded."""


class DeadlineExceeded(TimeoutError):  # noqa: N818 - the usual term
    """The deadline of a call has passed.

    A separate class: an application's signal handler may raise a TimeoutError during the call,
    which must not be handled here.
    """

    def __init__(self, reason: str = "the time was up") -> None:
        super().__init__(reason)


@overload
def seconds_left(deadline: float) -> float: ...
@overload
def seconds_left(deadline: float | None) -> float | None: ...
def seconds_left(deadline: float | None) -> float | None:
    """Return the seconds until the deadline, more than 0, or None without one.

    Raises DeadlineExceeded.
    """
    if deadline is None:
        return None
    left = deadline - monotonic()
    if left <= 0:
        raise DeadlineExceeded
    return left


def share_deadline(deadline: float, candidates: int) -> float:
    """Return the deadline for the next one of several candidates, such as addresses of a host.

    Each gets an equal share of the time that is left, so that one without a response leaves time
    for the next. ``candidates`` is the number of those not tried yet, including this one.
    """
    now = monotonic()
    return now + (deadline - now) / candidates


def timeout_at(deadline: float | None) -> "Timeout":
    """Return ``asyncio.timeout_at`` for a deadline of the monotonic clock; None means no timeout.

    At the deadline, and never before it, the block raises TimeoutError, on any event loop.
    """
    import asyncio  # lazily: it takes 62 ms

    if deadline is None:
        return asyncio.timeout_at(None)
    left = deadline - monotonic()  # first: time between the two readings only delays the timeout
    return asyncio.timeout_at(asyncio.get_running_loop().time() + left + TIMER_EARLY)


def backoff(attempt: int, *, base: float, cap: float) -> float:
    """Return the seconds to wait before the next attempt, random from 0 up to a bound.

    The bound is ``base * 2**attempt`` seconds, ``cap`` at most; the first retry is attempt 1.
    Random over the whole range ("full jitter"), so that callers that failed together don't retry
    together: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter
    """
    bound: float = min(cap, base * 2 ** min(attempt, 30))
    return _random.uniform(0, bound)


# A record never lives shorter than its ttl_ms: its expiry counts from the next full millisecond,
# and is compared with the past one.


def now_ms() -> int:
    """Return the current time, in ms since the epoch; a record with a later expiry is unexpired."""
    return time_ns() // 1_000_000


def expires_at_ms(ttl_ms: int) -> int:
    """Return the expiry of a record that is written now, in milliseconds since the epoch.

    For servers without an exact expiry of their own: it is by this machine's clock. Call it just
    before the write is sent, after any wait.
    """
    return -(-time_ns() // 1_000_000) + ttl_ms


def remaining_ttl_ms(expires_ms: int) -> int:
    """Return the milliseconds until an expiry, rounded down; 0 or less if it has passed."""
    return expires_ms + time_ns() // -1_000_000
