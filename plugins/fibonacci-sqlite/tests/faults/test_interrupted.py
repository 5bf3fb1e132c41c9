"""Operations that a signal breaks off at any instruction (C19).

Run without coverage, whose own lock does not survive a signal in its midst.
"""

import random
import signal
import sqlite3
from pathlib import Path

import pytest
from alarms import Alarm, alarms
from sqlite_bench import Child, Tell

from fibonacci import MemoryConfig, Workflow
from fibonacci_sqlite.connection import Connection

AGAIN = 1.0
"""Seconds: a finalizer, which drops what is raised in it, may have swallowed the first alarm."""


@pytest.fixture(name="alarms")
def ringing():
    """SIGALRM raises."""
    with alarms():
        yield


def test_broken_off_anywhere(path: Path, alarms: None):
    """No transaction stays open, no change that returned is lost, none is made by half."""
    workflow = Workflow("w", MemoryConfig("sqlite", f"sqlite:///{path}", timeout=2))
    memory, dice = workflow.memory, random.Random(1)
    memory.set("n", 0)
    returned = begun = 0
    database = sqlite3.connect(path, isolation_level=None, timeout=0)
    for turn in range(300):
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.00005, 0.003), AGAIN)
            while True:
                begun += 1
                memory.increment("n")
                returned += 1
                memory.set_many({"a": turn, "b": turn, "c": turn}, ttl=60)
                memory.get_many(["a", "b", "c"])
                memory.delete_many(["d", "e"])
        except Alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
        # Nobody holds a lock: a stranger who waits for nothing gets it.
        database.execute("BEGIN IMMEDIATE")
        database.execute("COMMIT")
        assert len(set(memory.get_many(["a", "b", "c"]).values())) <= 1
        assert returned <= memory.get("n") <= begun
    database.close()
    workflow.close()


def test_fork_after_a_break(path: Path, alarms: None):
    """A connection that was broken off keeps no fork waiting."""
    workflow = Workflow("w", MemoryConfig("sqlite", f"sqlite:///{path}", timeout=2))
    memory = workflow.memory
    memory.set("n", 0)

    def child(tell: Tell) -> None:
        memory.increment("children")

    for _ in range(10):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, AGAIN)
            while True:
                memory.increment("n")
        except Alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
        Child(child).end()
    assert memory.get("children") == 10
    workflow.close()


def test_broken_off_while_it_is_made(path: Path):
    """A connection that was never whole is closed, as far as it was made, without a word."""
    database = sqlite3.connect(path)
    for made in ({}, {"database": database}):
        connection = Connection.__new__(Connection)
        for name, value in made.items():
            setattr(connection, name, value)
        del connection
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")
