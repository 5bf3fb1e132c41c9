"""A child that is forked after a parallel run lacks its threads, and still works (C21)."""

import asyncio
import os
from threading import Barrier

import pytest
from forks import in_child

from fibonacci import FunctionNode, Workflow

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]


def test_forked_child_runs_workflows_in_its_own_threads() -> None:
    """A forked child runs workflows after its parent has run nodes in threads, which it lacks."""
    workflow, together = Workflow("forked"), Barrier(4)
    for number in range(4):
        workflow.add_node(FunctionNode(f"n{number}", lambda _: together.wait(5) >= 0, timeout=5))
    workflow.execute()

    def child() -> bool:
        ran = [workflow.execute(), asyncio.run(workflow.aexecute())]
        return all(all(result.values()) for result in ran)

    in_child(child)
