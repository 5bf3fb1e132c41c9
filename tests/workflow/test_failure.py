"""A node that fails: what ends, what does not start, and what the error tells."""

import pickle
from threading import Event
from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    LLMNode,
    ModelError,
    NodeExecutionError,
    Workflow,
    WorkflowError,
)


def fail(_: Any) -> Any:
    raise KeyError("password=hunter2")


def test_the_error(workflow: Workflow, execute: Any) -> None:
    """The error has the node, its cause, chained too, and the outputs of those that ended."""
    workflow.add_node(FunctionNode("first", lambda _: 1))
    workflow.add_node(FunctionNode("bad", fail, dependencies=["first"]))
    workflow.add_node(FunctionNode("after", lambda _: 2, dependencies=["bad"]))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    fault = told.value
    assert isinstance(fault, WorkflowError)
    assert fault.node_id == "bad"
    assert isinstance(fault.cause, KeyError)
    assert fault.__cause__ is fault.cause
    assert fault.results == {"first": 1}


def test_foreign_texts_stay_out(workflow: Workflow, execute: Any) -> None:
    """Another library's text is not in the message, which may be logged; ours is (C23)."""
    workflow.add_node(FunctionNode("bad", fail))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    assert str(told.value) == "node 'bad' failed: KeyError"
    assert "hunter2" not in repr(told.value)


def busy(_: Any) -> Any:
    raise ModelError("the model is overloaded", retryable=True, retry_after=3)


def test_our_texts_are_told(workflow: Workflow, execute: Any) -> None:
    """An error of our own tree is told in full."""
    workflow.add_node(LLMNode("bad", busy, "x"))
    with pytest.raises(
        NodeExecutionError, match=r"^node 'bad' failed: ModelError: the model is overloaded$"
    ):
        execute(workflow)


@pytest.mark.parametrize("function", [fail, busy])
def test_the_error_pickles(workflow: Workflow, execute: Any, function: Any) -> None:
    """The error can go to another process, without its cause: that may be, and hold, anything."""
    workflow.add_node(FunctionNode("first", lambda _: 1))
    workflow.add_node(FunctionNode("bad", function, dependencies=["first"]))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    again = pickle.loads(pickle.dumps(told.value))
    assert (str(again), again.node_id) == (str(told.value), "bad")
    assert again.results == {"first": 1}
    assert again.cause is None
    assert "hunter2" not in repr(vars(again))


def test_those_that_run_end(workflow: Workflow, execute: Any) -> None:
    """Where a node fails, those that run come to their end; what waited for them does not start."""
    running, failed = Event(), Event()
    ended: list[str] = []

    def slow(_: Any) -> str:
        running.set()
        assert failed.wait(60)
        ended.append("slow")
        return "done"

    def bad(_: Any) -> None:
        assert running.wait(60)
        failed.set()
        raise ValueError

    workflow.add_node(FunctionNode("slow", slow, memory_write="slow"))
    workflow.add_node(FunctionNode("after", lambda _: ended.append("after"), dependencies=["slow"]))
    workflow.add_node(FunctionNode("bad", bad))
    workflow.add_node(FunctionNode("later", lambda _: ended.append("later"), dependencies=["bad"]))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    assert ended == ["slow"]
    assert (told.value.node_id, told.value.results) == ("bad", {"slow": "done"})
    assert workflow.memory.get("slow") == "done"


def test_what_waits_for_room_does_not_start(execute: Any) -> None:
    """A node that could run, and only waits for room, does not start after a failure."""
    workflow = Workflow("flow", max_concurrency=1)
    ran: list[int] = []
    workflow.add_node(FunctionNode("bad", fail))
    workflow.add_node(FunctionNode("other", lambda _: ran.append(1)))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert ran == []


def test_a_workflow_runs_again(workflow: Workflow, execute: Any) -> None:
    """A failure is one run's: the next one starts afresh."""
    workflow.add_node(FunctionNode("n", lambda ctx: 1 // ctx.inputs["x"]))
    with pytest.raises(NodeExecutionError):
        execute(workflow, {"x": 0})
    assert execute(workflow, {"x": 1}) == {"n": 1}


def test_stop_iteration(workflow: Workflow, execute: Any) -> None:
    """A function that raises StopIteration fails its node, and ends no loop by mistake."""
    workflow.add_node(FunctionNode("n", lambda _: next(iter([]))))
    with pytest.raises(NodeExecutionError, match="node 'n' failed: RuntimeError") as told:
        execute(workflow)
    assert isinstance(told.value.cause, RuntimeError)


def test_nested_failure(workflow: Workflow, execute: Any) -> None:
    """A workflow inside a node fails as itself; the outer error tells the way down."""
    inner = Workflow("inner")
    inner.add_node(FunctionNode("deep", fail))
    workflow.add_node(FunctionNode("n", lambda _: inner.execute()))
    with pytest.raises(
        NodeExecutionError,
        match=r"^node 'n' failed: NodeExecutionError: node 'deep' failed: KeyError$",
    ):
        execute(workflow)


def test_an_error_with_a_cause_that_does_not_pickle(workflow: Workflow, execute: Any) -> None:
    """An error can go to another process whatever its cause is."""

    class Local(Exception):  # noqa: N818 - of nobody's tree
        pass

    def fail(_: Any) -> None:
        raise Local

    workflow.add_node(FunctionNode("n", fail))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    assert str(pickle.loads(pickle.dumps(told.value))) == "node 'n' failed: Local"
