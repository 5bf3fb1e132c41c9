"""Streams of workflows with a real model."""

import asyncio
from contextlib import aclosing, closing

import pytest

from fibonacci import Event, LLMNode, NodeStarted, NodeText, Workflow, WorkflowFinished
from fibonacci.plugin import Model
from fibonacci_llamacpp.worker import SLOTS

from .model_requests import ENDLESS


@pytest.fixture
def workflow(model: Model) -> Workflow:
    """One node, whose completion is about the sea."""
    workflow = Workflow("sea")
    workflow.add_node(LLMNode("sea", model, "Tell me about the sea 🌊.", max_tokens=24))
    return workflow


@pytest.fixture
def endless(model: Model) -> Workflow:
    """A workflow of one node, whose completion takes ten seconds and is written to memory."""
    node = LLMNode("n", model, ENDLESS.prompt, max_tokens=ENDLESS.max_tokens, memory_write="k")
    workflow = Workflow("endless")
    workflow.add_node(node)
    return workflow


async def collected(workflow: Workflow) -> list[Event]:
    return [event async for event in workflow.astream()]


def test_stream_yields_tokens(workflow: Workflow) -> None:
    """A streamed run yields tokens that join to what execute returns, sync and async."""
    executed = workflow.execute()
    for events in (list(workflow.stream()), asyncio.run(collected(workflow))):
        *deltas, last = events
        pieces = [event.text for event in deltas if isinstance(event, NodeText)]
        assert len(pieces) > 5
        assert "".join(pieces) == executed["sea"]
        assert isinstance(last, WorkflowFinished)
        assert last.result == executed
        assert last.result.usage == executed.usage


@pytest.mark.usefixtures("idle")
def test_closing_a_run_frees_the_model(endless: Workflow) -> None:
    """Closing a streamed run after a delta frees its slot at once."""
    for _ in range(SLOTS):
        with closing(endless.stream()) as events:
            assert next(events) == NodeStarted("n")
            assert isinstance(next(events), NodeText)
    assert endless.memory.list_keys() == []


@pytest.mark.usefixtures("idle")
def test_cancelling_a_run_frees_the_model(endless: Workflow) -> None:
    """Cancelling a task within a streamed run frees its slot at once."""

    has_text = asyncio.Event()

    async def read() -> None:
        async with aclosing(endless.astream()) as events:
            async for event in events:
                if isinstance(event, NodeText):
                    has_text.set()

    async def main() -> None:
        for _ in range(SLOTS):
            has_text.clear()
            reading = asyncio.create_task(read())
            await has_text.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    asyncio.run(main())
    assert endless.memory.list_keys() == []
