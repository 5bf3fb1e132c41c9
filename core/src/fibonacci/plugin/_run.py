"""Runs a coroutine that never suspends, without an event loop."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result.

    For a store that is written once for sync and async code, as coroutines over a connection that
    either blocks or awaits.

    Raises RuntimeError if the coroutine suspends: it awaited something that needs an event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waited for an event loop in sync code")
