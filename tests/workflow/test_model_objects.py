"""Model subclasses of users, in sync and async code."""

import asyncio
from threading import Barrier, Event
from typing import Any

import pytest

from fibonacci import (
    FibonacciError,
    FunctionNode,
    LLMNode,
    NodeExecutionError,
    Retry,
    Workflow,
)
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta


class SyncModel(Model):
    """A sync model, as most are, that calls a function of the test."""

    def __init__(self, work: Any) -> None:
        self.work = work

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=str(self.work()))


def test_stop_iteration_of_a_model(workflow: Workflow) -> None:
    """A Model whose ``complete`` raises StopIteration fails its node, in async code too."""
    workflow.add_node(LLMNode("n", SyncModel(lambda: next(iter([]))), "x"))
    with pytest.raises(NodeExecutionError):
        asyncio.run(asyncio.wait_for(workflow.aexecute(), 2))


def test_sync_models_run_concurrently(workflow: Workflow) -> None:
    """40 nodes with sync Models run at once in async code, as 40 functions do."""
    together = Barrier(40)
    model = SyncModel(lambda: together.wait(2))
    for number in range(40):
        workflow.add_node(LLMNode(f"n{number}", model, "x"))
    assert len(asyncio.run(workflow.aexecute())) == 40


def test_late_sync_model_blocks_nobody(workflow: Workflow) -> None:
    """A sync Model that exceeds its deadline blocks neither the run nor the end of the loop."""
    go, done = Event(), Event()
    model = SyncModel(lambda: (go.wait(30), done.set()))
    workflow.add_node(LLMNode("n", model, "x", timeout=0.1))
    with pytest.raises(NodeExecutionError):
        asyncio.run(workflow.aexecute())
    assert not done.is_set()
    go.set()


def test_acomplete_is_awaited(workflow: Workflow) -> None:
    """Async code awaits a Model's own acomplete()."""

    class AsyncModel(SyncModel):
        async def acomplete(self, request: ModelRequest) -> Completion:
            await asyncio.sleep(0)
            return Completion(text="async")

    workflow.add_node(LLMNode("n", AsyncModel(lambda: "sync"), "x"))
    assert workflow.execute()["n"] == "sync"
    assert asyncio.run(workflow.aexecute())["n"] == "async"


def test_model_must_return_a_completion(workflow: Workflow, execute: Any) -> None:
    """A Model that returns anything else fails its node, and is not retried."""
    calls: list[int] = []

    class Wrong(Model):
        def complete(self, request: ModelRequest) -> Any:
            calls.append(1)
            return "text"

    workflow.add_node(LLMNode("n", Wrong(), "x", retry=Retry(backoff=0)))
    with pytest.raises(NodeExecutionError, match="Completion, not str"):
        execute(workflow)
    assert calls == [1]


def test_completion_text_must_be_text(workflow: Workflow, execute: Any) -> None:
    """A Completion whose text is not text fails its node."""
    wrong: Any = 5
    workflow.add_node(LLMNode("n", lambda _: Completion(text=wrong), "x"))
    with pytest.raises(FibonacciError):
        execute(workflow)


REPRS: list[Any] = [
    ModelRequest(prompt="secret"),
    ModelRequest(prompt="x", system_prompt="secret"),
    Completion(text="secret"),
    FunctionNode("n", print, memory_read=[{"key": "k", "default": "secret"}]),
]


@pytest.mark.parametrize("one", REPRS, ids=range(len(REPRS)))
def test_reprs_show_no_values(one: Any) -> None:
    """The reprs of requests, completions and memory defaults show no values (C23)."""
    assert "secret" not in repr(one)


def test_default_stream_is_one_delta() -> None:
    """By default a stream is one delta and the Completion, in sync and async code."""
    model = SyncModel(lambda: "hello")
    whole = Completion(text="hello")

    async def stream() -> list[Any]:
        return [piece async for piece in model.astream(ModelRequest(prompt="x"))]

    assert list(model.stream(ModelRequest(prompt="x"))) == [TextDelta("hello"), whole]
    assert asyncio.run(stream()) == [TextDelta("hello"), whole]
