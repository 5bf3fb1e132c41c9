"""Callers that change one record at the same time go one after another (C16)."""

import asyncio
import gc
import os
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from forks import in_child

from fibonacci import (
    MemoryConfig,
    MemoryManager,
    Workflow,
)
from fibonacci._memory.cas import MAX_HANDOFFS, RecordUpdate
from fibonacci.testing.threads import run_concurrently

from .slow_store import SlowStore


def increment_in_tasks(slow_memory: MemoryManager, number: int) -> None:
    """Increment ``n`` in so many tasks."""

    async def work() -> None:
        await asyncio.gather(*[slow_memory.aincrement("n") for _ in range(number)])

    asyncio.run(work())


@pytest.mark.parametrize("retry_transient_errors", [True, False])
def test_tasks_queue_for_a_record(
    slow_store: SlowStore, slow_memory: MemoryManager, retry_transient_errors: bool
):
    """Tasks that change one record write once each, on a server and on this machine's disk."""
    slow_store.retry_transient_errors = retry_transient_errors
    increment_in_tasks(slow_memory, 80)
    assert slow_memory.get("n") == 80
    assert slow_store.requests.count("cas") == 80
    assert slow_store.requests.count("read") <= 1 + 80 // MAX_HANDOFFS + 1


def test_threads_queue_for_a_record(slow_store: SlowStore, slow_memory: MemoryManager):
    """Threads that change one record write once each, whichever memory of the store they use."""
    others = MemoryConfig(slow_store, timeout=60, default_ttl=60)
    with Workflow("w", others) as other:
        run_concurrently(
            [lambda: slow_memory.increment("n"), lambda: other.memory.increment("n")] * 20
        )
    assert slow_memory.get("n") == 40
    assert slow_store.requests.count("cas") == 40


def test_each_record_has_its_own_queue(slow_store: SlowStore, slow_memory: MemoryManager):
    """Callers of different records don't wait for each other, and no queue is left over."""

    async def work() -> None:
        await asyncio.gather(*[slow_memory.aincrement(f"k{number % 2}") for number in range(20)])
        assert not slow_memory._handle.store._writer_queues._queues  # type: ignore[attr-defined]

    asyncio.run(work())
    assert slow_memory.get_many(["k0", "k1"]) == {"k0": 10, "k1": 10}


def test_one_writer_reads_after_some_handoffs(slow_store: SlowStore, slow_memory: MemoryManager):
    """After MAX_HANDOFFS a writer reads, so that other processes, which have to, can win."""
    increment_in_tasks(slow_memory, 4 * (MAX_HANDOFFS + 1))
    reads = [number for number, request in enumerate(slow_store.requests) if request == "read"]
    assert [late - early for early, late in pairwise(reads)] == [MAX_HANDOFFS + 2] * 3


def test_value_that_another_process_replaced_is_read(
    slow_store: SlowStore, slow_memory: MemoryManager
):
    """A writer that was handed a value which was replaced since reads the record."""

    def replace_before_the_second_write() -> None:
        slow_store.before_cas = lambda: slow_memory.set("n", 1_000)

    slow_store.before_cas = replace_before_the_second_write
    increment_in_tasks(slow_memory, 2)
    assert slow_memory.get("n") == 1_001
    assert slow_store.requests.count("cas") == 3


def test_writer_is_not_handed_an_older_value(slow_store: SlowStore, slow_memory: MemoryManager):
    """A writer is not handed a value that was replaced before the writer was called."""
    applied, respond = threading.Event(), threading.Event()
    slow_memory.set("n", ["a"])

    def respond_late() -> None:
        applied.set()
        respond.wait(30)

    slow_store.after_cas = respond_late
    with ThreadPoolExecutor(2) as threads:
        appending = threads.submit(slow_memory.append, "n", "b")
        applied.wait(30)
        slow_memory.set("n", 5)
        adding = threads.submit(slow_memory.increment, "n")
        time.sleep(0.05)
        respond.set()
        assert appending.result() == 2
        assert adding.result() == 6


def test_first_of_two_values_is_not_handed_over(slow_memory: MemoryManager):
    """A writer that stores one value, and fails to store a second one, hands over neither.

    A writer that enqueued in between would be handed a value that was gone when it came.
    """

    async def write() -> bytes | None:
        handle = slow_memory._context.handle
        address = slow_memory._resolve_address("key", "workflow", None)
        due = time.monotonic() + 60
        first, second = RecordUpdate(handle, address, due), RecordUpdate(handle, address, due)
        assert await first.read() is None
        assert await first.try_commit(None, b"1", None)
        assert await handle.store.compare_and_set(address, b"1", b"2", None, deadline=due)
        waiting = asyncio.create_task(second.read())
        await asyncio.sleep(0)
        assert not await first.try_commit(b"1", b"3", None)
        first.release()
        found = await waiting
        second.release()
        return found

    assert asyncio.run(write()) == b"2"


def test_failing_update_releases_the_queue(slow_memory: MemoryManager):
    """An update whose function raises delays no other writer, and hands no value over."""
    slow_memory.set("n", 1)

    async def work() -> list[Any]:
        bad = [slow_memory.aupdate("n", lambda _: 1 / 0) for _ in range(5)]
        good = [slow_memory.aincrement("n") for _ in range(5)]
        mixed = [call for pair in zip(bad, good, strict=True) for call in pair]
        return await asyncio.gather(*mixed, return_exceptions=True)

    results = asyncio.run(work())
    assert [type(result) for result in results] == [ZeroDivisionError, int] * 5
    assert slow_memory.get("n") == 6


def test_cancelled_writer_leaves_the_queue(slow_memory: MemoryManager):
    """Writers go on after others were cancelled at the head, in the middle or at the end."""

    async def work() -> None:
        tasks = [asyncio.create_task(slow_memory.aincrement("n")) for _ in range(30)]
        await asyncio.sleep(0.001)
        for number in (0, 10, 11, 29):
            tasks[number].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 4

    asyncio.run(work())
    assert 26 <= slow_memory.get("n") <= 27  # the first may have written already


@pytest.mark.bare  # forks beside threads
def test_child_has_its_own_queues(slow_memory: MemoryManager):
    """A child changes a record without waiting for the parent's writers, also within a change."""
    parent = os.getpid()

    def fork(old: int) -> int:
        if os.getpid() == parent:
            in_child(lambda: slow_memory.increment("n") > 0)
        return old + 1_000

    def busy() -> None:
        for _ in range(25):
            slow_memory.increment("n")

    run_concurrently([busy] * 4 + [lambda: slow_memory.update("n", fork, default=0)])
    assert slow_memory.get("n") >= 1_100  # and one for each child


def test_child_finishes_a_change_that_the_parent_started(slow_memory: MemoryManager):
    """A change during which the process forks ends in parent and child, each for itself."""

    def fork(old: int) -> int:
        pid = os.fork()
        if not pid:
            return old + 100
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return old + 1

    parent = os.getpid()
    new = None
    try:
        new = slow_memory.update("n", fork, default=0)
    finally:
        if os.getpid() != parent:
            os._exit(0 if new == 100 and slow_memory.increment("n") == 101 else 1)
    assert new == 1


def test_tasks_of_a_closed_loop_are_collected(slow_memory: MemoryManager):
    """Tasks that wait in a queue when their loop is closed are collected without an error."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it reports the pending tasks
    pending: weakref.WeakSet[asyncio.Task[float]] = weakref.WeakSet()

    async def begin() -> None:
        for _ in range(5):
            pending.add(asyncio.create_task(slow_memory.aincrement("n")))
        await asyncio.sleep(0)

    loop.run_until_complete(begin())
    assert len(pending) == 5
    loop.close()
    # On another loop; the first of them may have been sent.
    assert asyncio.run(slow_memory.aget("n", default=0)) in (0, 1)
    end = time.monotonic() + 60
    while pending:  # the thread that runs a call may refer to one
        gc.collect()
        assert time.monotonic() < end
