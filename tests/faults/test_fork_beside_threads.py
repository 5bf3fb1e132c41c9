"""Forks while threads are in the middle of something (C21).

Run without coverage, whose own lock a forked child may find held.
"""

import os
import threading

import pytest
from forks import in_child

from fibonacci import MemoryConfig, Workflow

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    # Forking while threads run is under test.
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]


def test_fork_beside_busy_threads() -> None:
    """A child that is forked while threads write neither hangs nor reads half a change."""
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
