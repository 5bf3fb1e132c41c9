"""A failed node: which nodes end, which do not start, and what the error says."""

import asyncio
import re
from collections.abc import Callable
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
    NodeFailed,
    NodeTrace,
    Retry,
    Workflow,
    WorkflowError,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Completion, Usage


def fail(_: Any) -> Any:
    raise KeyError("password=hunter2")


def test_error_has_node_cause_and_results(workflow: Workflow, execute: Any) -> None:
    """NodeExecutionError has the node, its chained cause, and the outputs of nodes that ended."""
    workflow.add_node(FunctionNode("first", lambda _: 1))
    workflow.add_node(FunctionNode("bad", fail, dependencies=["first"]))
    workflow.add_node(FunctionNode("after", lambda _: 2, dependencies=["bad"]))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    error = caught.value
    assert isinstance(error, WorkflowError)
    assert error.node_id == "bad"
    assert isinstance(error.cause, KeyError)
    assert error.__cause__ is error.cause
    assert error.results == {"first": 1}


def test_message_quotes_what_a_function_raises(workflow: Workflow, execute: Any) -> None:
    """The message includes the text of what a node's function raises: its author wrote it."""

    def find_address(_: Any) -> Any:
        raise ValueError("order 42 has no address")

    workflow.add_node(FunctionNode("ship", find_address))
    expected = pytest.raises(
        NodeExecutionError, match=r"^node 'ship' failed: ValueError: order 42 has no address$"
    )
    with expected:
        execute(workflow)
    with expected:
        list(workflow.stream())


@pytest.mark.parametrize("kind", [Exception, FibonacciError])
def test_exception_without_a_text(workflow: Workflow, execute: Any, kind: type[Exception]) -> None:
    """The message has only the type of an exception without a text, or whose text raises."""

    class Mute(kind):  # type: ignore[misc, valid-type]
        def __str__(self) -> str:
            raise self

    def fail(_: Any) -> Any:
        raise Mute

    workflow.add_node(FunctionNode("bad", fail))
    with pytest.raises(NodeExecutionError, match=r"^node 'bad' failed: Mute$"):
        execute(workflow)


class Leaky(LocalStore):
    """A third party's store, whose driver's exceptions come through."""

    _needs_guard = True

    def read_many(self, addresses: Any, *, deadline: float) -> Any:
        raise KeyError("password=hunter2")


@pytest.mark.parametrize("kind", ["model", "store"])
def test_message_quotes_no_foreign_text(execute: Any, kind: str) -> None:
    """The message may be logged: it quotes no exception of a model or a driver (C23)."""
    workflow = Workflow("flow", MemoryConfig(Leaky()))
    by_store: Any = FunctionNode("bad", lambda _: 1, memory_read=["k"])
    workflow.add_node(by_store if kind == "store" else LLMNode("bad", fail, "x"))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    shown = "StorageError: .* the backend raised KeyError, .*" if kind == "store" else "KeyError"
    assert re.fullmatch(f"node 'bad' failed: {shown}", str(caught.value))
    assert "hunter2" not in repr(caught.value)


def busy(_: Any) -> Any:
    raise ModelError("the model is overloaded", retryable=True, retry_after=3)


def test_message_quotes_fibonacci_errors(workflow: Workflow, execute: Any) -> None:
    """The message includes the text of an error of Fibonacci's tree."""
    workflow.add_node(LLMNode("bad", busy, "x"))
    with pytest.raises(
        NodeExecutionError, match=r"^node 'bad' failed: ModelError: the model is overloaded$"
    ):
        execute(workflow)


def test_error_has_trace_and_usage(workflow: Workflow, execute: Any) -> None:
    """NodeExecutionError has the traces of all nodes that ran, and their tokens."""
    spent = Completion(text="a", usage=Usage(input_tokens=3, output_tokens=5))
    workflow.add_node(LLMNode("first", lambda _: spent, "x"))
    workflow.add_node(FunctionNode("bad", fail, dependencies=["first"]))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert list(caught.value.trace) == ["first", "bad"]
    first, bad = caught.value.trace["first"], caught.value.trace["bad"]
    assert isinstance(first, NodeTrace)
    assert isinstance(bad, NodeTrace)
    assert first.attempts == bad.attempts == 1
    assert caught.value.results == {"first": "a"}
    assert caught.value.usage == spent.usage


def test_no_node_runs_after_a_failure(workflow: Workflow, execute: Any) -> None:
    """A node that was waiting for its turn does not run once another has failed."""
    workflow.max_concurrency = 1
    ran: list[str] = []
    workflow.add_node(FunctionNode("bad", fail))
    for node_id in "abc":
        workflow.add_node(FunctionNode(node_id, lambda _: ran.append("x")))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert ran == []


def read(workflow: Workflow, stream: Any, on_failure: Callable[[], object]) -> None:
    """Read a stream, and call the function at the event of a failed node."""
    for event in stream(workflow):
        if isinstance(event, NodeFailed):
            on_failure()


def test_node_that_is_about_to_start_does_not_run_after_a_failure(workflow: Workflow) -> None:
    """A node whose task exists, but has not begun when another fails, does not run."""
    ran: list[str] = []

    async def bad(_: Any) -> None:
        raise KeyError  # before the other tasks have had their turn

    workflow.add_node(FunctionNode("bad", bad))
    for node_id in "abc":
        workflow.add_node(FunctionNode(node_id, lambda _: ran.append("x")))
    with pytest.raises(NodeExecutionError, match="node 'bad' failed"):
        asyncio.run(workflow.aexecute())
    assert ran == []


def test_no_attempt_is_made_after_a_failure(workflow: Workflow, stream: Any) -> None:
    """A node whose attempt fails after another node has failed makes no further one."""
    began, failed, attempts = Event(), Event(), []

    def flaky(_: Any) -> None:
        attempts.append(1)
        began.set()
        assert failed.wait(60)
        raise ConnectionError

    def bad(_: Any) -> None:
        assert began.wait(60)
        raise KeyError

    workflow.add_node(FunctionNode("flaky", flaky, retry=Retry(attempts=5, backoff=0)))
    workflow.add_node(FunctionNode("bad", bad))
    with pytest.raises(NodeExecutionError, match="node 'bad' failed"):
        read(workflow, stream, failed.set)
    assert attempts == [1]


def test_running_nodes_end_after_a_failure(workflow: Workflow, execute: Any) -> None:
    """After a failure, running nodes end, and dependents of the failed node do not start."""
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
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert ended == ["slow"]
    assert (caught.value.node_id, caught.value.results) == ("bad", {"slow": "done"})
    assert workflow.memory.get("slow") == "done"


def test_ready_nodes_do_not_start_after_a_failure(execute: Any) -> None:
    """A node that waits only for max_concurrency does not start after a failure."""
    workflow = Workflow("flow", max_concurrency=1)
    ran: list[int] = []
    workflow.add_node(FunctionNode("bad", fail))
    workflow.add_node(FunctionNode("other", lambda _: ran.append(1)))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert ran == []


def test_workflow_runs_after_a_failure(workflow: Workflow, execute: Any) -> None:
    """A failure affects only its own run."""
    workflow.add_node(FunctionNode("n", lambda ctx: 1 // ctx.inputs["x"]))
    with pytest.raises(NodeExecutionError):
        execute(workflow, {"x": 0})
    assert execute(workflow, {"x": 1}) == {"n": 1}


def test_stop_iteration_fails_the_node(workflow: Workflow, execute: Any) -> None:
    """A function that raises StopIteration fails its node, and ends no loop."""
    workflow.add_node(FunctionNode("n", lambda _: next(iter([]))))
    with pytest.raises(NodeExecutionError, match="node 'n' failed: RuntimeError") as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, RuntimeError)


def test_failure_of_a_nested_workflow(workflow: Workflow, execute: Any) -> None:
    """The failure of a workflow inside a node is the cause of the outer error, which names both."""
    inner = Workflow("inner")
    inner.add_node(FunctionNode("deep", fail))
    workflow.add_node(FunctionNode("n", lambda _: inner.execute()))
    with pytest.raises(
        NodeExecutionError,
        match=r"^node 'n' failed: NodeExecutionError: node 'deep' failed: KeyError: 'password=",
    ):
        execute(workflow)
