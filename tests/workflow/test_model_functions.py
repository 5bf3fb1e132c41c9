"""Functions as models, sync and async."""

import asyncio
from functools import partial
from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    LLMNode,
    NodeExecutionError,
    Workflow,
    WorkflowValidationError,
)
from fibonacci.plugin import Completion, ModelRequest, Usage


@pytest.mark.parametrize("timeout", [None, 5])
def test_function_as_a_model(workflow: Workflow, execute: Any, timeout: float | None) -> None:
    """A function as a model may return text, or a Completion with its tokens."""
    whole = Completion(text="b", usage=Usage(output_tokens=2))
    workflow.add_node(LLMNode("a", lambda request: request.prompt, "a", timeout=timeout))
    workflow.add_node(LLMNode("b", lambda _: whole, "x", temperature=2, stop=["y"]))
    result = execute(workflow)
    assert (dict(result), result.usage) == ({"a": "a", "b": "b"}, Usage(output_tokens=2))


async def async_function(request: ModelRequest) -> str:
    await asyncio.sleep(0)
    return f"<{request.prompt}>"


class AsyncModel:
    """An object that is called like an async function."""

    async def __call__(self, request: ModelRequest) -> str:
        return await async_function(request)

    async def method(self, request: ModelRequest) -> str:
        return await async_function(request)


@pytest.mark.parametrize(
    "model", [async_function, AsyncModel(), AsyncModel().method, partial(async_function)]
)
def test_async_function_as_a_model_needs_aexecute(workflow: Workflow, model: Any) -> None:
    """execute() refuses an async function as a model before anything runs."""
    ran: list[int] = []
    workflow.add_node(FunctionNode("first", lambda _: ran.append(1)))
    workflow.add_node(LLMNode("n", model, "x", dependencies=["first"]))
    with pytest.raises(WorkflowValidationError, match="node 'n' has an async function: use await"):
        workflow.execute()
    assert ran == []
    assert asyncio.run(workflow.aexecute())["n"] == "<x>"


def test_async_function_node_needs_aexecute(workflow: Workflow) -> None:
    """execute() refuses a FunctionNode with an async function before anything runs."""

    async def work(_: Any) -> int:
        return 1

    workflow.add_node(FunctionNode("n", work))
    with pytest.raises(WorkflowValidationError, match="node 'n' has an async function"):
        workflow.execute()
    assert asyncio.run(workflow.aexecute()) == {"n": 1}


class Later:
    """Something to await that has nothing to close."""

    def __await__(self) -> Any:
        return iter([])


@pytest.mark.parametrize("make", [async_function, lambda _: Later()])
@pytest.mark.parametrize("timeout", [None, 5])
def test_sync_function_that_returns_an_awaitable(
    workflow: Workflow, make: Any, timeout: float | None
) -> None:
    """execute() fails a node whose function returns an awaitable; aexecute() awaits it."""
    calls: list[int] = []

    def hidden(request: Any) -> Any:
        calls.append(1)
        return make(request)

    workflow.add_node(LLMNode("n", hidden, "x", timeout=timeout, retry=3))
    with pytest.raises(NodeExecutionError, match="can't await an async function"):
        workflow.execute()
    assert calls == [1]
    if make is async_function:
        assert asyncio.run(workflow.aexecute())["n"] == "<x>"


@pytest.mark.parametrize("wrong", [None, 3, b"x", {"text": "x"}])
def test_function_that_returns_no_text(workflow: Workflow, execute: Any, wrong: Any) -> None:
    """A function as a model that returns neither text nor a Completion fails its node, once."""
    calls: list[int] = []
    workflow.add_node(LLMNode("n", lambda _: calls.append(1) or wrong, "x", retry=3))
    with pytest.raises(
        NodeExecutionError, match=f"must return text or a Completion, not {type(wrong).__name__}"
    ):
        execute(workflow)
    assert calls == [1]


def test_str_subclasses_become_str(workflow: Workflow, execute: Any) -> None:
    """A str subclass that a function as a model returns becomes a str."""

    class Loud(str):
        def __str__(self) -> str:
            return "LOUD"

    workflow.add_node(LLMNode("n", lambda _: Loud("quiet"), "x"))
    output = execute(workflow)["n"]
    assert (output, type(output)) == ("quiet", str)
