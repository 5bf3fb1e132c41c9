"""Streams of workflows whose model is real."""

import asyncio
from contextlib import aclosing, closing

import pytest

from fibonacci import Event, LLMNode, NodeStarted, NodeText, Workflow, WorkflowFinished
from fibonacci.plugin import Model
from fibonacci_llamacpp.worker import SLOTS


@pytest.fixture
def workflow(model: Model) -> Workflow:
    """One node, which tells of the sea."""
    workflow = Workflow("sea")
    workflow.add_node(LLMNode("sea", model, "Tell me about the sea 🌊.", max_tokens=24))
    return workflow


@pytest.fixture
def endless(model: Model) -> Workflow:
    """One node, whose answer takes minutes, and is remembered when it is there."""
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 1500}
    node = LLMNode(
        "n",
        model,
        "Count.",
        max_tokens=3000,
        output_format="json",
        output_schema=numbers,
        memory_write="k",
    )
    workflow = Workflow("endless")
    workflow.add_node(node)
    return workflow


async def collected(workflow: Workflow) -> list[Event]:
    return [event async for event in workflow.astream()]


def test_an_answer_comes_in_pieces(workflow: Workflow) -> None:
    """Both voices tell a real answer token by token; joined, it is what execute returns."""
    executed = workflow.execute()
    for events in (list(workflow.stream()), asyncio.run(collected(workflow))):
        *told, last = events
        pieces = [event.text for event in told if isinstance(event, NodeText)]
        assert len(pieces) > 10
        assert "".join(pieces) == executed["sea"]
        assert isinstance(last, WorkflowFinished)
        assert last.result == executed
        assert last.result.usage == executed.usage


@pytest.mark.usefixtures("idle")
def test_closing_frees_the_model(endless: Workflow) -> None:
    """Whoever closes a stream after the first piece frees the model for the next at once."""
    for _ in range(SLOTS):
        with closing(endless.stream()) as events:
            assert next(events) == NodeStarted("n")
            assert isinstance(next(events), NodeText)
    assert endless.memory.list_keys() == []


@pytest.mark.usefixtures("idle")
def test_closing_frees_the_model_in_a_loop(endless: Workflow) -> None:
    """The same for a task that is cancelled in mid-stream."""

    async def read() -> None:
        async with aclosing(endless.astream()) as events:
            async for event in events:
                if isinstance(event, NodeText):
                    await asyncio.sleep(60)

    async def main() -> None:
        for _ in range(SLOTS):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(), 0.5)

    asyncio.run(main())
    assert endless.memory.list_keys() == []
