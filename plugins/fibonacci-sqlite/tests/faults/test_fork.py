"""Forks (C21): no acknowledged write is lost, whoever forks, closes or ends first.

Run without coverage, whose own lock a forked child may find held.
"""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import sleep

import pytest
from sqlite_bench import Child, Gate, Tell

from fibonacci import MemoryConfig, MemoryManager, Workflow
from fibonacci.plugin import Address, Space
from fibonacci_sqlite.settings import ConnectionOptions
from fibonacci_sqlite.store import SqliteStore

ADDRESS = Address(Space("p:", "workflow", "w"), "k")


@pytest.fixture
def workflow(path: Path):
    """A workflow that has used its memory."""
    with Workflow("w", MemoryConfig("sqlite", f"sqlite:///{path}")) as workflow:
        workflow.memory.set("k", 1)
        yield workflow


def keys_in(path: Path) -> set[str]:
    """The keys that a stranger finds in the file."""
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    keys = {key.decode() for (key,) in database.execute("SELECT key FROM fibonacci_records")}
    database.close()
    return keys


def test_parent_closes_under_the_child(workflow: Workflow, path: Path):
    """The parent's last close takes no log away from the child that writes on."""
    closed = Gate()

    def child(tell: Tell) -> None:
        for number in range(10):
            workflow.memory.set(f"before{number}", number)
        tell("written")
        closed.wait()
        for number in range(10):
            workflow.memory.set(f"after{number}", number)

    born = Child(child)
    assert born.next() == "written"
    workflow.close()
    keys_in(path)
    closed.open()
    born.end()
    expected = {f"{when}{number}" for when in ("before", "after") for number in range(10)}
    assert expected | {"k"} == keys_in(path)


def test_child_closes_under_the_parent(workflow: Workflow, path: Path):
    """What a child closes, or leaves open when it ends, is its own alone."""

    def child(tell: Tell) -> None:
        workflow.memory.set("child's", 1)
        workflow.close()

    for turn in range(3):
        workflow.memory.set(f"parent's{turn}", 1)
        born = Child(child)
        workflow.memory.set(f"parent's{turn}-meanwhile", 1)
        born.end()
    names = {f"parent's{turn}{part}" for turn in range(3) for part in ("", "-meanwhile")}
    assert names | {"k", "child's"} == keys_in(path)


def test_given_store(path: Path):
    """A store that the user made is one object on both sides of a fork, and serves both."""
    store = SqliteStore(ConnectionOptions(path=os.fspath(path)))
    memory = Workflow("w", MemoryConfig(backend=store)).memory
    memory.set("n", 0)

    def child(tell: Tell) -> None:
        for _ in range(50):
            memory.increment("n")

    children = [Child(child) for _ in range(2)]
    for _ in range(50):
        memory.increment("n")
    for born in children:
        born.end()
    assert memory.get("n") == 150
    store.close()


def writer(memory: MemoryManager, name: str, enough: Event, done: list[str]) -> Callable[[], None]:
    def write() -> None:
        number = 0
        while not enough.is_set():
            key = f"{name}-{number}"
            memory.set_many({key: number, f"{key}+": "x" * 2000})
            done.append(key)
            memory.increment("n")
            number += 1

    return write


def test_forks_beside_writers(workflow: Workflow, path: Path):
    """Children forked while threads write work at once, and no acknowledged write is lost."""
    memory, enough = workflow.memory, Event()
    memory.set("n", 0)
    done: list[list[str]] = [[] for _ in range(3)]
    threads = [
        Thread(target=writer(memory, f"thread{index}", enough, done[index])) for index in range(3)
    ]

    def child(number: int, tell: Tell) -> None:
        for turn in range(5):
            memory.set(f"child{number}-{turn}", turn)
            tell(f"child{number}-{turn}")
            memory.increment("n")
        if number % 2:
            workflow.close()

    for thread in threads:
        thread.start()
    children = []
    try:
        for number in range(20):
            children.append(Child(lambda tell, number=number: child(number, tell)))
            sleep(0.01)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    told = [line for born in children for line in born.end()]
    assert len(told) == 100
    written = [key for keys in done for key in keys]
    assert memory.get("n") == len(written) + 100
    workflow.close()
    assert {*told, *written} <= keys_in(path)


def test_child_killed_amid_a_write(workflow: Workflow, path: Path):
    """A child that is killed amid its writes leaves the parent's memory working."""

    def child(tell: Tell) -> None:
        number = 0
        while True:
            workflow.memory.set(f"c{number}", "x" * 5000)
            tell(f"c{number}")
            number += 1

    for turn in range(3):
        born = Child(child)
        told = [born.next() for _ in range(10)]
        workflow.memory.set(f"p{turn}", turn)
        told += born.kill()
        assert {*told, f"p{turn}"} <= set(workflow.memory.list_keys())
    assert set(workflow.memory.list_keys()) == keys_in(path)


def test_fork_waits_for_no_lock(workflow: Workflow, path: Path):
    """A fork does not wait for an operation that itself waits for another process."""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    thread = Thread(target=lambda: workflow.memory.set("waits", 1))
    thread.start()
    sleep(0.05)
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("the fork waits"))
    signal.alarm(3)
    try:
        # The child leaves the blocker alone: it is the parent's.
        born = Child(lambda tell: tell("born"))
        assert born.next() == "born"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    born.end()
    blocker.execute("COMMIT")
    blocker.close()
    thread.join()
    assert workflow.memory.get("waits") == 1


def test_multiprocessing(path: Path):
    """Workers that a process pool forks share the memory with their parent."""
    import multiprocessing

    workflow = Workflow("w", MemoryConfig("sqlite", f"sqlite:///{path}"))
    workflow.memory.set("n", 0)
    workers = [
        multiprocessing.get_context("fork").Process(target=workflow.memory.increment, args=("n",))
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert workflow.memory.get("n") == 8
    workflow.close()
