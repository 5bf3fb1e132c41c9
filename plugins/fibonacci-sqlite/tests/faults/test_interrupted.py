"""Operations that a signal interrupts at any instruction (C19).

Run without coverage, whose own lock does not survive an exception inside it.
"""

import random
import signal
import sqlite3
from pathlib import Path

import pytest
from alarms import Alarm, alarms
from sqlite_children import Child, Send

from fibonacci import MemoryConfig, Workflow

AGAIN = 1.0
"""Seconds: a finalizer, which drops what is raised in it, may have swallowed the first alarm."""


@pytest.fixture(name="alarms")
def alarm_handler():
    """SIGALRM raises."""
    with alarms():
        yield


def test_interrupts_leave_no_transaction_open(path: Path, alarms: None):
    """An interrupt at any instruction leaves no open transaction and no partial change."""
    workflow = Workflow("w", MemoryConfig("sqlite", f"sqlite:///{path}", timeout=2))
    memory, dice = workflow.memory, random.Random(1)
    memory.set("n", 0)
    returned = begun = 0
    database = sqlite3.connect(path, isolation_level=None, timeout=0)
    for round_number in range(300):
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.00005, 0.003), AGAIN)
            while True:
                begun += 1
                memory.increment("n")
                returned += 1
                memory.set_many(dict.fromkeys("abc", round_number), ttl=60)
                memory.get_many(["a", "b", "c"])
                memory.delete_many(["d", "e"])
        except Alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
        # No lock is held: another connection gets it without waiting.
        database.execute("BEGIN IMMEDIATE")
        database.execute("COMMIT")
        assert len(set(memory.get_many(["a", "b", "c"]).values())) <= 1
        assert returned <= memory.get("n") <= begun
    database.close()
    workflow.close()


def test_interrupted_connection_does_not_delay_a_fork(path: Path, alarms: None):
    """A connection whose operation was interrupted does not delay a fork."""
    workflow = Workflow("w", MemoryConfig("sqlite", f"sqlite:///{path}", timeout=2))
    memory = workflow.memory
    memory.set("n", 0)

    def child(send: Send) -> None:
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
