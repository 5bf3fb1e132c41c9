"""A node that fails: what ends, what does not start, and what the error tells."""

from threading import Event
from typing import Any

import pytest

from fibonacci import (
    FibonacciError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    ModelError,
    NodeExecutionError,
    NodeTrace,
    Workflow,
    WorkflowError,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Completion, Usage


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


def test_what_a_function_raises_is_told(workflow: Workflow, execute: Any) -> None:
    """The text of what a function of a node raises is in the message: its author wrote it."""

    def find_address(_: Any) -> Any:
        raise ValueError("order 42 has no address")

    workflow.add_node(FunctionNode("ship", find_address))
    told = pytest.raises(
        NodeExecutionError, match=r"^node 'ship' failed: ValueError: order 42 has no address$"
    )
    with told:
        execute(workflow)
    with told:
        list(workflow.stream())


@pytest.mark.parametrize("kind", [Exception, FibonacciError])
def test_an_exception_without_a_text(
    workflow: Workflow, execute: Any, kind: type[Exception]
) -> None:
    """Where there is no text, or none to be had, the type is told."""

    class Mute(kind):  # type: ignore[misc, valid-type]
        def __str__(self) -> str:
            raise self

    def fail(_: Any) -> Any:
        raise Mute

    workflow.add_node(FunctionNode("bad", fail))
    with pytest.raises(NodeExecutionError, match=r"^node 'bad' failed: Mute$"):
        execute(workflow)


class Leaky(LocalStore):
    """A store whose driver's exceptions come through."""

    def read_many(self, addresses: Any, *, deadline: float) -> Any:
        raise KeyError("password=hunter2")


@pytest.mark.parametrize("kind", ["model", "store"])
def test_foreign_texts_stay_out(execute: Any, kind: str) -> None:
    """What a model or a driver says is not in the message, which may be logged (C23)."""
    workflow = Workflow("flow", MemoryConfig(Leaky()))
    by_store: Any = FunctionNode("bad", lambda _: 1, memory_read=["k"])
    workflow.add_node(by_store if kind == "store" else LLMNode("bad", fail, "x"))
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


def test_what_the_error_knows_of_the_run(workflow: Workflow, execute: Any) -> None:
    """The error tells how the nodes went that came to their end, and what they cost."""
    spent = Completion(text="a", usage=Usage(input_tokens=3, output_tokens=5))
    workflow.add_node(LLMNode("first", lambda _: spent, "x"))
    workflow.add_node(FunctionNode("bad", fail, dependencies=["first"]))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    assert list(told.value.trace) == ["first"]
    first = told.value.trace["first"]
    assert isinstance(first, NodeTrace)
    assert first.attempts == 1
    assert told.value.usage == spent.usage


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
        match=r"^node 'n' failed: NodeExecutionError: node 'deep' failed: KeyError: 'password=",
    ):
        execute(workflow)
