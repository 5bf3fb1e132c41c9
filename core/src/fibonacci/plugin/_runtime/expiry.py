"""Expiry by this machine's clock, for stores whose server knows none.

In whole milliseconds since 1970. A record never lives shorter than its ``ttl_ms``: what is to come
is counted from the next full millisecond, what is there is compared with the one that is past.
"""

from time import time_ns


def now_ms() -> int:
    """Return the time now; a record is live while its expiry is above it."""
    return time_ns() // 1_000_000


def expires_at_ms(ttl_ms: int) -> int:
    """Return when a record expires that is written now.

    Call it when the write is about to be sent, after any wait.
    """
    return -(-time_ns() // 1_000_000) + ttl_ms


def remaining_ttl_ms(expires_ms: int) -> int:
    """Return the milliseconds until then, rounded down; 0 or less when it has expired."""
    return expires_ms + time_ns() // -1_000_000
