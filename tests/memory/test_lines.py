"""Callers who change one record go one after another, and are bound to nobody (C16)."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest
from forks import in_child

from fibonacci import (
    BackendUnavailableError,
    ConflictError,
    MemoryConfig,
    MemoryManager,
    StorageError,
    Workflow,
)
from fibonacci._builtin.local import LocalStore
from fibonacci._memory.gates import TaskGate
from fibonacci._memory.lines import IN_A_ROW
from fibonacci.plugin import Address, Keep
from fibonacci.plugin.storage import Absent
from fibonacci.testing.threads import in_threads


class Distant(LocalStore):
    """A store whose answers take their time, so that its callers meet."""

    remote = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.before_swap: Callable[[], object] | None = None
        """Called once, before a compare-and-set."""

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        self._travel("read", deadline)
        return super().read(address, deadline=deadline)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        if (before := self.before_swap) is not None:
            self.before_swap = None
            before()
        self._travel("swap", deadline)
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)

    def _travel(self, what: str, deadline: float) -> None:
        self.asked.append(what)
        time.sleep(0.002)
        if monotonic() > deadline:
            raise BackendUnavailableError("the time ran out")


@pytest.fixture
def store() -> Distant:
    """The store of the test."""
    return Distant()


@pytest.fixture
def memory(store: Distant) -> Iterator[MemoryManager]:
    """A memory over it, with time enough."""
    with Workflow("w", MemoryConfig(store, timeout=60)) as workflow:
        yield workflow.memory


@pytest.fixture
def hasty(store: Distant) -> Iterator[MemoryManager]:
    """Another one, of one second."""
    with Workflow("w", MemoryConfig(store, timeout=1)) as workflow:
        yield workflow.memory


def all_at_once(memory: MemoryManager, number: int) -> None:
    """Increment ``n`` in so many tasks."""

    async def work() -> None:
        await asyncio.gather(*[memory.aincrement("n") for _ in range(number)])

    asyncio.run(work())


def test_tasks_stand_in_line(store: Distant, memory: MemoryManager):
    """Tasks that change one record write once each, and few of them have to read."""
    all_at_once(memory, 80)
    assert memory.get("n") == 80
    assert store.asked.count("swap") == 80
    assert store.asked.count("read") <= 1 + 80 // IN_A_ROW + 1


def test_threads_stand_in_line(store: Distant, memory: MemoryManager):
    """So do threads, whichever memory of the store they have."""
    others = MemoryConfig(store, timeout=60, default_ttl=60)
    with Workflow("w", others) as other:
        in_threads([lambda: memory.increment("n"), lambda: other.memory.increment("n")] * 20)
    assert memory.get("n") == 40
    assert store.asked.count("swap") == 40


def test_each_record_has_its_own_line(store: Distant, memory: MemoryManager):
    """Callers of different records don't wait for each other, and leave no line behind."""

    async def work() -> None:
        await asyncio.gather(*[memory.aincrement(f"k{number % 2}") for number in range(20)])
        assert not memory._lease.store.lines._lines  # type: ignore[attr-defined]

    asyncio.run(work())
    assert memory.get_many(["k0", "k1"]) == {"k0": 10, "k1": 10}


def test_who_is_served_reads_after_some(store: Distant, memory: MemoryManager):
    """Now and then one reads: other processes, which have to, get a time to win in."""
    all_at_once(memory, 4 * (IN_A_ROW + 1))
    reads = [number for number, what in enumerate(store.asked) if what == "read"]
    assert [late - early for early, late in pairwise(reads)] == [IN_A_ROW + 2] * 3


def test_another_process_that_came_between(store: Distant, memory: MemoryManager):
    """Where the record is no longer what the one before wrote, it is read."""

    def come_between() -> None:
        store.before_swap = lambda: memory.set("n", 1_000)  # before the second one's

    store.before_swap = come_between
    all_at_once(memory, 2)
    assert memory.get("n") == 1_001
    assert store.asked.count("swap") == 3


def test_who_fails_lets_the_next_one_go(memory: MemoryManager):
    """A function that raises holds nobody up, and hands on nothing."""
    memory.set("n", 1)

    async def work() -> list[Any]:
        bad = [memory.aupdate("n", lambda _: 1 / 0) for _ in range(5)]
        good = [memory.aincrement("n") for _ in range(5)]
        mixed = [one for pair in zip(bad, good, strict=True) for one in pair]
        return await asyncio.gather(*mixed, return_exceptions=True)

    answers = asyncio.run(work())
    assert [type(one) for one in answers] == [ZeroDivisionError, int] * 5
    assert memory.get("n") == 6


def test_who_is_cancelled_leaves_the_line(memory: MemoryManager):
    """Cancelled in front, in the midst or at the end, those behind go on."""

    async def work() -> None:
        tasks = [asyncio.create_task(memory.aincrement("n")) for _ in range(30)]
        await asyncio.sleep(0.001)
        for number in (0, 10, 11, 29):
            tasks[number].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in answers) == 4

    asyncio.run(work())
    assert 26 <= memory.get("n") <= 27  # the first may have written already


def test_a_line_that_stands_still(store: Distant, memory: MemoryManager, hasty: MemoryManager):
    """One request that hangs is waited for a moment only, and then passed by."""
    held, over = threading.Event(), threading.Event()

    def hang() -> None:
        held.set()
        over.wait(30)

    store.before_swap = hang
    with ThreadPoolExecutor(9) as threads:
        stuck = threads.submit(memory.increment, "n")
        held.wait(30)
        passing = [threads.submit(hasty.increment, "n") for _ in range(8)]
        assert sorted(one.result() for one in passing) == list(range(1, 9))
        assert not stuck.done()
        over.set()
        assert stuck.result() == 9


def test_a_deadline_in_the_line(store: Distant):
    """Who is not served by its deadline is told so, and by then (C16, C18)."""
    config = MemoryConfig(store, timeout=0.3)
    with Workflow("w", config) as workflow:

        async def work() -> list[Any]:
            many = [workflow.memory.aincrement("n") for _ in range(400)]
            return await asyncio.gather(*many, return_exceptions=True)

        started = monotonic()
        answers = asyncio.run(work())
        took = monotonic() - started
    numbers = [one for one in answers if isinstance(one, int)]
    assert numbers == list(range(1, len(numbers) + 1))
    told = [one for one in answers if isinstance(one, ConflictError)]
    assert "gave up on 'n' in workflow scope of 'w': other callers" in str(told[0])
    assert took < 0.3 + 0.5


def test_a_change_within_a_change(store: Distant, memory: MemoryManager):
    """The function of an update may change the record: it does not wait for itself."""
    memory.set("n", 1)
    calls: list[int] = []

    def change(old: int) -> int:
        calls.append(old)
        if len(calls) == 1:
            memory.increment("n")
        return old + 10

    assert memory.update("n", change) == 12
    assert calls == [1, 2]
    assert "swap" in store.asked


def test_changes_crosswise(memory: MemoryManager):
    """Two callers who stand in each other's way come to their ends."""
    ready = threading.Barrier(2)

    def change(inner: str) -> Callable[[int], int]:
        first = [True]

        def fn(old: int) -> int:
            if first.pop() if first else False:
                ready.wait(30)
                memory.increment(inner)
            return old + 10

        return fn

    in_threads(
        [
            lambda: memory.update("a", change("b"), default=0),
            lambda: memory.update("b", change("a"), default=0),
        ]
    )
    assert memory.get_many(["a", "b"]) == {"a": 11, "b": 11}


def test_a_memory_that_is_closed_meanwhile(store: Distant):
    """Those who stand in line are told."""
    workflow = Workflow("w", MemoryConfig(store, timeout=60))
    store.before_swap = workflow.close
    with ThreadPoolExecutor(4) as threads:
        ended = [threads.submit(workflow.memory.increment, "n") for _ in range(4)]
    told = [str(one.exception()) for one in ended if one.exception()]
    assert len(told) >= 3
    assert {"this memory was closed: make a new Workflow, or close it later"} == set(told)
    assert all(isinstance(one.exception(), StorageError) for one in ended if one.exception())


def test_a_fork_while_others_wait(memory: MemoryManager):
    """A child has lines of its own, also where it is born in the midst of a change."""
    outcomes: list[None] = []

    def fork(old: int) -> int:
        if os.getpid() == parent:
            in_child(lambda: memory.increment("n") > 0)
            outcomes.append(None)
        return old + 1

    parent = os.getpid()
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            memory.increment("n")

    with ThreadPoolExecutor(4) as threads:
        others = [threads.submit(busy) for _ in range(4)]
        try:
            memory.update("n", fork, default=0)
        finally:
            done.set()
        for one in others:
            one.result()
    assert outcomes


def test_a_child_that_goes_on_with_a_change(memory: MemoryManager):
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
        new = memory.update("n", fork, default=0)
    finally:
        if os.getpid() != parent:
            os._exit(0 if new == 100 and memory.increment("n") == 101 else 1)
    assert new == 1


def test_a_loop_that_is_closed_with_tasks_in_the_line(store: Distant, memory: MemoryManager):
    """Tasks that their loop left behind end without a word when they are collected."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it tells that tasks were left behind

    async def begin() -> None:
        tasks.extend(asyncio.create_task(memory.aincrement("n")) for _ in range(5))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[float]] = []
    loop.run_until_complete(begin())
    loop.close()
    tasks.clear()
    gc.collect()
    assert store.asked


def test_a_gate_opened_by_another_thread():
    """A task in the line may be collected in any thread: whoever waits behind it wakes."""

    async def work() -> bool:
        gate = TaskGate()
        waiting = asyncio.create_task(gate.wait(60))
        await asyncio.sleep(0)
        await asyncio.to_thread(gate.open)
        await waiting
        return True

    started = monotonic()
    assert asyncio.run(work(), debug=True)
    assert monotonic() < started + 30
