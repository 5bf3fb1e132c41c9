"""Models that people write themselves: asked in sync and async code, and what they return."""

import asyncio
import time
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


class Plain(Model):
    """A model without an async mode of its own, as most are; it does what it is told."""

    def __init__(self, work: Any) -> None:
        self.work = work

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=str(self.work()))


def test_a_model_that_raises_stop_iteration(workflow: Workflow) -> None:
    """A Model whose ``complete`` raises StopIteration fails its node in async code, too."""
    workflow.add_node(LLMNode("n", Plain(lambda: next(iter([]))), "x"))
    with pytest.raises(NodeExecutionError):
        asyncio.run(asyncio.wait_for(workflow.aexecute(), 2))


def test_models_run_side_by_side(workflow: Workflow) -> None:
    """40 nodes that ask plain Models run at once in async code, as 40 functions do."""
    together = Barrier(40)
    model = Plain(lambda: together.wait(2))
    for number in range(40):
        workflow.add_node(LLMNode(f"n{number}", model, "x"))
    assert len(asyncio.run(workflow.aexecute())) == 40


def test_a_late_model_holds_nobody_up(workflow: Workflow) -> None:
    """A plain Model that is late is left behind, by the end of the event loop as well."""
    go = Event()
    workflow.add_node(LLMNode("n", Plain(lambda: go.wait(5)), "x", timeout=0.1))
    start = time.monotonic()
    with pytest.raises(NodeExecutionError):
        asyncio.run(workflow.aexecute())
    took = time.monotonic() - start
    go.set()
    assert took < 4


def test_a_native_async_model(workflow: Workflow) -> None:
    """In the async mode a Model's own acomplete is awaited."""

    class Native(Plain):
        async def acomplete(self, request: ModelRequest) -> Completion:
            await asyncio.sleep(0)
            return Completion(text="awaited")

    workflow.add_node(LLMNode("n", Native(lambda: "plain"), "x"))
    assert workflow.execute()["n"] == "plain"
    assert asyncio.run(workflow.aexecute())["n"] == "awaited"


def test_a_model_that_returns_no_completion(workflow: Workflow, execute: Any) -> None:
    """A Model that returns something else is told as such, and is not asked again."""
    calls: list[int] = []

    class Wrong(Model):
        def complete(self, request: ModelRequest) -> Any:
            calls.append(1)
            return "text"

    workflow.add_node(LLMNode("n", Wrong(), "x", retry=Retry(backoff=0)))
    with pytest.raises(NodeExecutionError, match="Completion, not str"):
        execute(workflow)
    assert calls == [1]


def test_a_completion_without_text(workflow: Workflow, execute: Any) -> None:
    """An answer's text is text; a Completion of anything else fails its node."""
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
def test_reprs_without_values(one: Any) -> None:
    """What a model is asked and answers, and a default of memory, stand in no repr (C23)."""
    assert "secret" not in repr(one)


def test_a_model_without_streams_answers_in_one_piece() -> None:
    """By default a stream is the whole text, and then the Completion, in sync and async code."""
    model = Plain(lambda: "hello")
    whole = Completion(text="hello")

    async def awaited() -> list[Any]:
        return [piece async for piece in model.astream(ModelRequest(prompt="x"))]

    assert list(model.stream(ModelRequest(prompt="x"))) == [TextDelta("hello"), whole]
    assert asyncio.run(awaited()) == [TextDelta("hello"), whole]
