"""Forks (C21): no acknowledged write is lost, whichever process forks, closes or ends first.

Run without coverage, whose own lock a forked child may find locked.
"""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import sleep

import pytest
from sqlite_children import Child, Gate, Send

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
    """Return the keys in the file, as another application reads them."""
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    keys = {key.decode() for (key,) in database.execute("SELECT key FROM fibonacci_records")}
    database.close()
    return keys


def test_parents_close_does_not_remove_the_childs_log(workflow: Workflow, path: Path):
    """The parent's last close does not remove the log that the child writes to."""
    closed = Gate()

    def child(send: Send) -> None:
        for number in range(10):
            workflow.memory.set(f"before{number}", number)
        send("written")
        closed.wait()
        for number in range(10):
            workflow.memory.set(f"after{number}", number)

    forked = Child(child)
    assert forked.next() == "written"
    workflow.close()
    keys_in(path)
    closed.open()
    forked.end()
    expected = {f"{when}{number}" for when in ("before", "after") for number in range(10)}
    assert expected | {"k"} == keys_in(path)


def test_childs_close_does_not_affect_the_parent(workflow: Workflow, path: Path):
    """A child that closes its connections, or exits with open ones, does not affect the parent."""

    def child(send: Send) -> None:
        workflow.memory.set("child's", 1)
        workflow.close()

    for number in range(3):
        workflow.memory.set(f"parent's{number}", 1)
        forked = Child(child)
        workflow.memory.set(f"parent's{number}-meanwhile", 1)
        forked.end()
    names = {f"parent's{number}{part}" for number in range(3) for part in ("", "-meanwhile")}
    assert names | {"k", "child's"} == keys_in(path)


def test_users_store_works_in_parent_and_child(path: Path):
    """A store that the user created works on both sides of a fork."""
    store = SqliteStore(ConnectionOptions(path=os.fspath(path)))
    memory = Workflow("w", MemoryConfig(backend=store)).memory
    memory.set("n", 0)

    def child(send: Send) -> None:
        for _ in range(50):
            memory.increment("n")

    children = [Child(child) for _ in range(2)]
    for _ in range(50):
        memory.increment("n")
    for forked in children:
        forked.end()
    assert memory.get("n") == 150
    store.close()


def writer(memory: MemoryManager, name: str, stop: Event, done: list[str]) -> Callable[[], None]:
    def write() -> None:
        number = 0
        while not stop.is_set():
            key = f"{name}-{number}"
            memory.set_many({key: number, f"{key}+": "x" * 2000})
            done.append(key)
            memory.increment("n")
            number += 1

    return write


def test_forks_during_writes_of_other_threads(workflow: Workflow, path: Path):
    """Children forked while threads write work at once, and no acknowledged write is lost."""
    memory, stop = workflow.memory, Event()
    memory.set("n", 0)
    done: list[list[str]] = [[] for _ in range(3)]
    threads = [
        Thread(target=writer(memory, f"thread{index}", stop, done[index])) for index in range(3)
    ]

    def child(number: int, send: Send) -> None:
        for part in range(5):
            memory.set(f"child{number}-{part}", part)
            send(f"child{number}-{part}")
            memory.increment("n")
        if number % 2:
            workflow.close()

    for thread in threads:
        thread.start()
    children = []
    try:
        for number in range(20):
            children.append(Child(lambda send, number=number: child(number, send)))
            sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    sent = [line for forked in children for line in forked.end()]
    assert len(sent) == 100
    written = [key for keys in done for key in keys]
    assert memory.get("n") == len(written) + 100
    workflow.close()
    assert {*sent, *written} <= keys_in(path)


def test_killed_child_does_not_affect_the_parent(workflow: Workflow, path: Path):
    """A child that is killed during its writes leaves the parent's memory working."""

    def child(send: Send) -> None:
        number = 0
        while True:
            workflow.memory.set(f"c{number}", "x" * 5000)
            send(f"c{number}")
            number += 1

    for number in range(3):
        forked = Child(child)
        sent = [forked.next() for _ in range(10)]
        workflow.memory.set(f"p{number}", number)
        sent += forked.kill()
        assert {*sent, f"p{number}"} <= set(workflow.memory.list_keys())
    assert set(workflow.memory.list_keys()) == keys_in(path)


def test_fork_does_not_wait_for_a_lock(workflow: Workflow, path: Path):
    """A fork does not wait for an operation that itself waits for another process."""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    thread = Thread(target=lambda: workflow.memory.set("waits", 1))
    thread.start()
    sleep(0.05)
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("the fork waits"))
    signal.alarm(3)
    try:
        # The child does not use the blocker, which belongs to the parent.
        forked = Child(lambda send: send("ready"))
        assert forked.next() == "ready"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    forked.end()
    blocker.execute("COMMIT")
    blocker.close()
    thread.join()
    assert workflow.memory.get("waits") == 1


def test_multiprocessing_workers_share_the_memory(path: Path):
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
