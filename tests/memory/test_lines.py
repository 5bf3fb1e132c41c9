"""Callers who change one record go one after another (C16)."""

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
from fibonacci._memory.lines import IN_A_ROW
from fibonacci.testing.threads import run_concurrently

from .distant import Distant


def all_at_once(far: MemoryManager, number: int) -> None:
    """Increment ``n`` in so many tasks."""

    async def work() -> None:
        await asyncio.gather(*[far.aincrement("n") for _ in range(number)])

    asyncio.run(work())


@pytest.mark.parametrize("retry_transient_errors", [True, False])
def test_tasks_stand_in_line(distant: Distant, far: MemoryManager, retry_transient_errors: bool):
    """Tasks that change one record write once each, on a server and on this machine's disk."""
    distant.retry_transient_errors = retry_transient_errors
    all_at_once(far, 80)
    assert far.get("n") == 80
    assert distant.asked.count("swap") == 80
    assert distant.asked.count("read") <= 1 + 80 // IN_A_ROW + 1


def test_threads_stand_in_line(distant: Distant, far: MemoryManager):
    """So do threads, whichever memory of the store they have."""
    others = MemoryConfig(distant, timeout=60, default_ttl=60)
    with Workflow("w", others) as other:
        run_concurrently([lambda: far.increment("n"), lambda: other.memory.increment("n")] * 20)
    assert far.get("n") == 40
    assert distant.asked.count("swap") == 40


def test_each_record_has_its_own_line(distant: Distant, far: MemoryManager):
    """Callers of different records don't wait for each other, and leave no line behind."""

    async def work() -> None:
        await asyncio.gather(*[far.aincrement(f"k{number % 2}") for number in range(20)])
        assert not far._lease.store._lines._lines  # type: ignore[attr-defined]

    asyncio.run(work())
    assert far.get_many(["k0", "k1"]) == {"k0": 10, "k1": 10}


def test_who_is_served_reads_after_some(distant: Distant, far: MemoryManager):
    """Now and then one reads: other processes, which have to, get a time to win in."""
    all_at_once(far, 4 * (IN_A_ROW + 1))
    reads = [number for number, what in enumerate(distant.asked) if what == "read"]
    assert [late - early for early, late in pairwise(reads)] == [IN_A_ROW + 2] * 3


def test_another_process_that_came_between(distant: Distant, far: MemoryManager):
    """Where the record is no longer what the one before wrote, it is read."""

    def come_between() -> None:
        distant.before_swap = lambda: far.set("n", 1_000)  # before the second one's

    distant.before_swap = come_between
    all_at_once(far, 2)
    assert far.get("n") == 1_001
    assert distant.asked.count("swap") == 3


def test_what_was_replaced_before_the_call(distant: Distant, far: MemoryManager):
    """Nobody is handed what was gone already when it called."""
    applied, over = threading.Event(), threading.Event()
    far.set("n", ["a"])

    def travel_for_long() -> None:
        applied.set()
        over.wait(30)

    distant.after_swap = travel_for_long
    with ThreadPoolExecutor(2) as threads:
        appending = threads.submit(far.append, "n", "b")
        applied.wait(30)
        far.set("n", 5)
        adding = threads.submit(far.increment, "n")
        time.sleep(0.05)
        over.set()
        assert appending.result() == 2
        assert adding.result() == 6


def test_who_fails_lets_the_next_one_go(far: MemoryManager):
    """A function that raises holds nobody up, and hands on nothing."""
    far.set("n", 1)

    async def work() -> list[Any]:
        bad = [far.aupdate("n", lambda _: 1 / 0) for _ in range(5)]
        good = [far.aincrement("n") for _ in range(5)]
        mixed = [one for pair in zip(bad, good, strict=True) for one in pair]
        return await asyncio.gather(*mixed, return_exceptions=True)

    answers = asyncio.run(work())
    assert [type(one) for one in answers] == [ZeroDivisionError, int] * 5
    assert far.get("n") == 6


def test_who_is_cancelled_leaves_the_line(far: MemoryManager):
    """Cancelled in front, in the midst or at the end, those behind go on."""

    async def work() -> None:
        tasks = [asyncio.create_task(far.aincrement("n")) for _ in range(30)]
        await asyncio.sleep(0.001)
        for number in (0, 10, 11, 29):
            tasks[number].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in answers) == 4

    asyncio.run(work())
    assert 26 <= far.get("n") <= 27  # the first may have written already


@pytest.mark.bare  # forks beside threads
def test_a_fork_while_others_wait(far: MemoryManager):
    """A child has lines of its own, also where it is born in the midst of a change."""
    parent = os.getpid()

    def fork(old: int) -> int:
        if os.getpid() == parent:
            in_child(lambda: far.increment("n") > 0)
        return old + 1_000

    def busy() -> None:
        for _ in range(25):
            far.increment("n")

    run_concurrently([busy] * 4 + [lambda: far.update("n", fork, default=0)])
    assert far.get("n") >= 1_100  # and one for each child


def test_a_child_that_goes_on_with_a_change(far: MemoryManager):
    """The child ends a change that its parent began, for itself."""

    def fork(old: int) -> int:
        pid = os.fork()
        if not pid:
            return old + 100
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return old + 1

    parent = os.getpid()
    new = None
    try:
        new = far.update("n", fork, default=0)
    finally:
        if os.getpid() != parent:
            os._exit(0 if new == 100 and far.increment("n") == 101 else 1)
    assert new == 1


def test_a_loop_that_is_closed_with_tasks_in_the_line(far: MemoryManager):
    """Tasks that their loop left behind are collected, and end without a word."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it tells that tasks were left behind
    left: weakref.WeakSet[asyncio.Task[float]] = weakref.WeakSet()

    async def begin() -> None:
        for _ in range(5):
            left.add(asyncio.create_task(far.aincrement("n")))
        await asyncio.sleep(0)

    loop.run_until_complete(begin())
    assert len(left) == 5
    loop.close()
    # On another loop; the first of them may have been sent.
    assert asyncio.run(far.aget("n", default=0)) in (0, 1)
    end = time.monotonic() + 60
    while left:  # the thread that was asked may have a hold of one
        gc.collect()
        assert time.monotonic() < end
