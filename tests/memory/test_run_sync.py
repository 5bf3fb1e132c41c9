"""run_sync runs coroutines without an event loop, and refuses those that suspend."""

import gc
import weakref
from contextlib import suppress
from typing import Any

import pytest

from fibonacci.plugin._run import run_sync


async def identity(value: Any) -> Any:
    """Return the value."""
    return value


def test_returns_the_result() -> None:
    """run_sync() returns what the coroutine returns, in nested calls too."""

    async def outer() -> int:
        return run_sync(identity(1)) + await identity(2)

    assert run_sync(outer()) == 3


def test_raises_what_the_coroutine_raises() -> None:
    """run_sync() raises the exception of the coroutine unchanged, and works again after it."""

    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        run_sync(fail())
    assert run_sync(identity(1)) == 1


def test_suspended_coroutine_is_closed() -> None:
    """run_sync() closes a coroutine that suspends, and raises RuntimeError."""

    class Wait:
        def __await__(self) -> Any:
            yield

    closed = []

    async def wait() -> None:
        try:
            await Wait()
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="waited for an event loop"):
        run_sync(wait())
    assert closed == [True]
    assert run_sync(identity(1)) == 1


def test_result_is_not_retained() -> None:
    """run_sync() keeps no reference to a result: it may be large, or secret."""

    class Result:
        pass

    result = Result()
    gone = weakref.ref(result)
    run_sync(run_nested(result))
    del result
    assert gone() is None


async def run_nested(value: Any) -> Any:
    """Return the value, through a call inside."""
    return run_sync(identity(value))


def test_frames_of_an_error_are_not_retained() -> None:
    """run_sync() leaves no reference cycle: what an error's frames hold dies with the error."""

    class Secret:
        pass

    async def fail(secret: Secret) -> None:
        raise KeyError("k")

    secret = Secret()
    gone = weakref.ref(secret)
    gc.disable()
    try:
        with suppress(KeyError):
            run_sync(fail(secret))
        del secret
        assert gone() is None
    finally:
        gc.enable()


def test_stop_iteration_of_a_caller_becomes_a_runtime_error() -> None:
    """StopIteration raised inside a coroutine is a RuntimeError, and never a result."""

    async def stop() -> None:
        raise StopIteration("value")

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        run_sync(stop())
