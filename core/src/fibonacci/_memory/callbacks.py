"""Functions that callers pass, and what they return."""

from typing import Any

from fibonacci.errors import InvalidArgumentError


def reject_awaitable(value: Any, name: str) -> Any:
    """Return the result of a function; InvalidArgumentError if it would have to be awaited."""
    if hasattr(value, "__await__"):
        if close := getattr(value, "close", None):
            close()
        raise InvalidArgumentError(f"{name} must be a sync function; it returned an awaitable")
    return value
