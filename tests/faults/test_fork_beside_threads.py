"""Forks while threads are in the middle of something (C21).

Run without coverage, whose own lock a forked child may find held.
"""

import os
import threading
import time
from collections.abc import Callable

import pytest

from fibonacci import MemoryConfig, Workflow

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    # Forking beside threads is what is tested.
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]


def in_child(work: Callable[[], object]) -> None:
    """Do the work in a forked child; it must return something true within ten seconds."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    for _ in range(1_000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


def test_fork_beside_busy_threads() -> None:
    """Children that are forked while threads write neither hang nor see half a change."""
    memory = Workflow("flow", MemoryConfig(connection_url="memory://busy")).memory
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            memory.set_many({"a": 1, "b": 2}, ttl=5)
            memory.append("turns", 1, max_items=5)
            memory.delete("a")
            memory.list_keys()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            in_child(lambda: memory.set("mine", 1) and "mine" in memory.list_keys())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
