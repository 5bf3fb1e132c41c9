"""What counts as a number in an argument, and the longest timeout."""

from typing import Any, Final, TypeGuard

MAX_TIMEOUT: Final = 86_400
"""Seconds: a day."""


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether it is an int or a float; a bool is neither here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether it is a whole number, 1 or more."""
    return type(value) is int and value >= 1
