"""The sync voice: coroutines whose questions are answered at once, run without an event loop."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(question: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits, and return what it returns."""
    try:
        question.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    question.close()
    raise RuntimeError("a blocking store waited for an event loop")
