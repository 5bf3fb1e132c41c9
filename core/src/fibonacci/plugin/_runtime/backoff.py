"""Pauses between attempts."""

import random


def backoff(attempt: int, *, base: float, cap: float) -> float:
    """Return the seconds to wait before the next attempt, random from 0 up to a bound.

    The bound is ``base * 2**attempt`` seconds, ``cap`` at most; the first retry is attempt 1.
    Random over the whole range ("full jitter"), so that callers which failed together do not come
    again together: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter
    """
    bound: float = min(cap, base * 2 ** min(attempt, 30))
    return random.uniform(0, bound)  # noqa: S311 - no secret
