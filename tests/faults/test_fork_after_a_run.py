"""A fork after a parallel run: the threads did not come along, and the child runs on (C21)."""

import asyncio
import os
import time
from threading import Barrier

import pytest

from fibonacci import FunctionNode, Workflow

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]


def test_fork_after_a_run() -> None:
    """A child of a process that has run nodes in threads runs them in threads of its own."""
    workflow, together = Workflow("forked"), Barrier(4)
    for number in range(4):
        workflow.add_node(FunctionNode(f"n{number}", lambda _: together.wait(5) >= 0, timeout=5))
    workflow.execute()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            ran = [workflow.execute(), asyncio.run(workflow.aexecute())]
            status = 0 if all(all(one.values()) for one in ran) else 2
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
