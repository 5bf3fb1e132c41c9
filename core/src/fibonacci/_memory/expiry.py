"""How long a record lives: what a ttl may be, and NO_EXPIRY."""

import math
from enum import Enum
from typing import Any, Final, Literal

from fibonacci._memory.numbers import is_number
from fibonacci.errors import InvalidArgumentError

MAX_TTL: Final = 100 * 365.25 * 86_400
"""The longest ttl, 100 years, in seconds: every backend's clock can still add it."""


class _NoExpiry(Enum):
    NO_EXPIRY = "NO_EXPIRY"

    def __repr__(self) -> str:
        return self.value


NO_EXPIRY: Final = _NoExpiry.NO_EXPIRY
"""As a ttl: keep the record until it is deleted, whatever ``default_ttl`` says."""

NoExpiry = Literal[_NoExpiry.NO_EXPIRY]

TTL = float | NoExpiry
"""Seconds, or NO_EXPIRY."""


def ttl_to_ms(ttl: Any, name: str = "ttl") -> int | None:
    """Return the ttl in whole milliseconds, rounded up; None for NO_EXPIRY.

    Raises InvalidArgumentError if it is not a number of seconds, or out of range.
    """
    if ttl is NO_EXPIRY:
        return None
    if not is_number(ttl):
        raise InvalidArgumentError(
            f"{name} must be a number of seconds or NO_EXPIRY, not {type(ttl).__name__}"
        )
    if not 0 < ttl <= MAX_TTL:
        # A huge int is not shown: Python may refuse to print it.
        shown = "not longer" if ttl > MAX_TTL and ttl != math.inf else f"not {ttl!r}"
        raise InvalidArgumentError(
            f"{name} must be over 0 and at most 100 years ({MAX_TTL:.0f} seconds), {shown}. "
            f"Use NO_EXPIRY for a record that never expires"
        )
    return math.ceil(ttl * 1000)
