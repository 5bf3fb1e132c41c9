"""Concurrency: threads, event loops and processes lose nothing, and apply nothing twice."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable

import pytest

from fibonacci import MemoryManager
from fibonacci.testing.threads import run_concurrently

from .aws_ledger import Ledger
from .conftest import Open


def children(number: int, work: Callable[[int], None]) -> list[int]:
    """Call ``work`` in forked processes at the same time; return their exit codes."""
    started = []
    for name in range(number):
        if not (child := os.fork()):
            code = 1
            try:
                work(name)
                code = 0
            finally:
                os._exit(code)
        started.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]


def test_threads_lose_no_change(memory: MemoryManager):
    """Eight threads on one memory lose no increment() and no append()."""

    def work() -> None:
        for _ in range(10):
            memory.increment("n")
            memory.append("turns", 1)

    run_concurrently([work] * 8)
    assert memory.get("n") == 80
    assert memory.get("turns") == [1] * 80


@pytest.mark.long  # in every run: tests/live/test_processes.py
def test_processes_lose_no_change(table_url: str, open_memory: Open):
    """Four processes on one table lose no append(), and preserve each writer's order."""
    name, turns = "four processes", 100
    open_memory(table_url, name=name).exists("n")

    def work(process: int) -> None:
        memory = open_memory(table_url, name=name)
        for number in range(turns):
            memory.increment("n")
            memory.append("turns", [process, number])

    assert children(4, work) == [0] * 4
    memory = open_memory(table_url, name=name)
    assert memory.get("n") == 4 * turns
    found = memory.get("turns")
    for process in range(4):
        assert [number for writer, number in found if writer == process] == list(range(turns))


def test_tasks_get_their_own_results(memory: MemoryManager, ledger: Ledger):
    """Tasks of an event loop share worker threads, and each gets its own result."""

    async def work() -> None:
        before = len(ledger.requests)
        await asyncio.gather(*[memory.aincrement("n") for _ in range(40)])
        assert len(ledger.requests) - before < 80  # if they all competed: 600 and more
        await asyncio.gather(*[memory.aset(f"k{number}", number) for number in range(40)])
        found = await asyncio.gather(*[memory.aget(f"k{number}") for number in range(40)])
        assert found == list(range(40))

    asyncio.run(work())
    assert memory.get("n") == 40


def test_threads_share_one_client(table_url: str, open_memory: Open, ledger: Ledger):
    """Threads that make the first call at once share one client, and create it once."""
    memory = open_memory(table_url, name="one client")
    added: list[bool] = []
    run_concurrently([lambda: added.append(memory.add("k", 1))] * 8)
    assert Counter(added) == {True: 1, False: 7}
    assert [name for name, _ in ledger.requests] == ["PutItem"] * 8
