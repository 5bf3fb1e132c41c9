"""Many at once: threads, event loops and processes lose nothing, and apply nothing twice."""

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
    """Do some work in forked processes, at the same time; their exit codes."""
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


def test_threads(memory: MemoryManager):
    """Eight threads on one memory: 80 of 80 increments, and 80 of 80 turns."""

    def work() -> None:
        for _ in range(10):
            memory.increment("n")
            memory.append("turns", 1)

    run_concurrently([work] * 8)
    assert memory.get("n") == 80
    assert memory.get("turns") == [1] * 80


@pytest.mark.long  # in every run: tests/live/test_processes.py
def test_processes(table_url: str, open_memory: Open):
    """Four processes on one table: no turn is lost, each is there once, in its writer's order."""
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
        assert [number for one, number in found if one == process] == list(range(turns))


def test_tasks(memory: MemoryManager, ledger: Ledger):
    """Many tasks of an event loop share the worker threads, and get their own answers."""

    async def work() -> None:
        before = len(ledger.requests)
        await asyncio.gather(*[memory.aincrement("n") for _ in range(40)])
        assert len(ledger.requests) - before < 80  # at random against each other: 600 and more
        await asyncio.gather(*[memory.aset(f"k{number}", number) for number in range(40)])
        found = await asyncio.gather(*[memory.aget(f"k{number}") for number in range(40)])
        assert found == list(range(40))

    asyncio.run(work())
    assert memory.get("n") == 40


def test_one_client(table_url: str, open_memory: Open, ledger: Ledger):
    """Threads that come together at the first call share one client, and one making of it."""
    memory = open_memory(table_url, name="one client")
    answers: list[bool] = []
    run_concurrently([lambda: answers.append(memory.add("k", 1))] * 8)
    assert Counter(answers) == {True: 1, False: 7}
    assert [name for name, _ in ledger.requests] == ["PutItem"] * 8
