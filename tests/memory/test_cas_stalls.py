"""No writer waits in a queue for long, or for itself (C16, C18)."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    ConflictError,
    MemoryConfig,
    MemoryManager,
    StorageError,
    Workflow,
)
from fibonacci.plugin import Address
from fibonacci.testing.threads import run_concurrently

from .slow_store import SlowStore

Increment = Callable[[MemoryManager, list[float]], list[Any]]


def test_stalled_writer_is_overtaken(slow_store: SlowStore, slow_memory: MemoryManager):
    """Writers wait for a request that hangs for a moment only, and then overtake it."""
    reached, released = slow_store.stall_next_cas()
    with ThreadPoolExecutor(9) as threads:
        stuck = threads.submit(slow_memory.increment, "n")
        reached.wait(30)
        passing = [threads.submit(slow_memory.increment, "n") for _ in range(8)]
        assert sorted(future.result() for future in passing) == list(range(1, 9))
        assert not stuck.done()
        released.set()
        assert stuck.result() == 9


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Add the seconds that a writer took, from its own start on."""
    started = monotonic()
    try:
        yield
    finally:
        seconds.append(monotonic() - started)


def tasks_increment(memory: MemoryManager, seconds: list[float]) -> list[Any]:
    """Increment ``n`` in forty tasks; return their results and exceptions."""

    async def increment() -> int:
        with timed(seconds):
            return await memory.aincrement("n")

    async def main() -> list[Any]:
        return await asyncio.gather(*[increment() for _ in range(40)], return_exceptions=True)

    return asyncio.run(main())


def threads_increment(memory: MemoryManager, seconds: list[float]) -> list[Any]:
    """Increment ``n`` in forty threads; return their results and exceptions."""

    def increment() -> int:
        with timed(seconds):
            return memory.increment("n")

    with ThreadPoolExecutor(40) as threads:
        futures = [threads.submit(increment) for _ in range(40)]
    return [future.exception() or future.result() for future in futures]


EITHER = pytest.mark.parametrize("increment", [tasks_increment, threads_increment])


@EITHER
def test_writer_gives_up_at_its_deadline(slow_store: SlowStore, increment: Increment):
    """A writer that did not reach the head of its queue gets ConflictError in time (C16, C18)."""
    slow_store.latency = 0.03
    seconds: list[float] = []
    with Workflow("w", MemoryConfig(slow_store, timeout=0.4)) as workflow:
        results = increment(workflow.memory, seconds)
    numbers = [result for result in results if isinstance(result, int)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    messages = [str(result) for result in results if isinstance(result, ConflictError)]
    expected = "gave up on 'n' in workflow scope of 'w': concurrent updates"
    assert any(expected in message for message in messages)
    assert len(seconds) == len(results)
    assert max(seconds) < 0.4 + 0.5


@EITHER
def test_unavailable_store_causes_no_conflict_errors(slow_store: SlowStore, increment: Increment):
    """Writers of a store that never responds get BackendUnavailableError only (C18)."""

    def away(address: Address, *, deadline: float) -> bytes | None:
        time.sleep(max(0.0, deadline - monotonic()))
        raise BackendUnavailableError("the time ran out")

    slow_store.read = away  # type: ignore[method-assign]
    with Workflow("w", MemoryConfig(slow_store, timeout=0.4)) as workflow:
        results = increment(workflow.memory, [])
    assert {type(result) for result in results} == {BackendUnavailableError}
    # A writer that becomes the head at its very deadline may raise either.
    assert {str(result) for result in results} <= {
        "the time ran out",
        "gave up on 'n' in workflow scope of 'w': earlier updates queued in this process "
        "received no response until the deadline",
    }


def test_update_may_change_the_record_within_its_function(slow_memory: MemoryManager):
    """A function passed to update() may change the same record, and does not wait for itself."""
    slow_memory.set("n", 1)
    calls: list[int] = []

    def change(old: int) -> int:
        calls.append(old)
        if len(calls) == 1:
            slow_memory.increment("n")
        return old + 10

    assert slow_memory.update("n", change) == 12
    assert calls == [1, 2]


@pytest.mark.bare
def test_signal_handler_may_change_the_record(slow_store: SlowStore, slow_memory: MemoryManager):
    """A signal handler does not wait for the call that it interrupts, and that call goes on."""

    def handle(*_: object) -> None:
        released.set()
        handled.append(slow_memory.increment("n"))

    handled: list[float] = []
    reached, released = slow_store.stall_next_cas()
    before = signal.signal(signal.SIGALRM, handle)
    try:
        with ThreadPoolExecutor(1) as threads:
            head = threads.submit(slow_memory.increment, "n")
            reached.wait(30)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            numbers = [slow_memory.increment("n"), head.result(), *handled]
    finally:
        signal.signal(signal.SIGALRM, before)
    assert sorted(numbers) == [1, 2, 3]


def test_updates_that_wait_for_each_other_end(slow_memory: MemoryManager):
    """Two updates whose functions change each other's record both succeed."""
    ready = threading.Barrier(2)

    def change(inner: str) -> Callable[[int], int]:
        first = [True]

        def fn(old: int) -> int:
            if first.pop() if first else False:
                ready.wait(30)
                slow_memory.increment(inner)
            return old + 10

        return fn

    run_concurrently(
        [
            lambda: slow_memory.update("a", change("b"), default=0),
            lambda: slow_memory.update("b", change("a"), default=0),
        ]
    )
    assert slow_memory.get_many(["a", "b"]) == {"a": 11, "b": 11}


def test_waiting_writers_of_a_closed_memory_fail(slow_store: SlowStore):
    """Writers that wait in a queue when their memory is closed get StorageError."""
    workflow = Workflow("w", MemoryConfig(slow_store, timeout=60))
    slow_store.before_cas = workflow.close
    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(workflow.memory.increment, "n") for _ in range(4)]
    errors = [error for future in futures if (error := future.exception())]
    assert len(errors) >= 3
    message = "this memory was closed: create a new Workflow, or close it later"
    assert {message} == set(map(str, errors))
    assert all(isinstance(error, StorageError) for error in errors)
