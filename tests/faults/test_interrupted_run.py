"""Ctrl-C while the calling thread only waits for other nodes."""

import signal
import threading
import time
from threading import Event

import pytest

from fibonacci import FunctionNode, MemoryConfig, Workflow


def test_ctrl_c_ends_the_wait_for_other_nodes() -> None:
    """execute() raises KeyboardInterrupt at once; no further node starts, and none writes."""
    workflow = Workflow("interrupted", MemoryConfig(connection_url="memory://interrupted"))
    go, ended, ran = Event(), Event(), []

    def side(_: object) -> None:
        time.sleep(0.1)  # the calling thread has ended its own node by then, and waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert go.wait(60)
        ended.set()

    workflow.add_node(FunctionNode("here", lambda _: 1))
    workflow.add_node(FunctionNode("side", side))
    workflow.add_node(FunctionNode("writes", lambda _: go.wait(5), memory_write="k"))
    workflow.add_node(FunctionNode("after", lambda _: ran.append(1), dependencies=["side"]))
    with pytest.raises(KeyboardInterrupt):
        workflow.execute()
    assert not ended.is_set()
    go.set()
    assert ended.wait(60)
    time.sleep(0.05)
    assert (ran, workflow.memory.list_keys()) == ([], [])
