"""Nodes with a history and a real model."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from fibonacci import (
    Event,
    ExecutionResult,
    LLMNode,
    MemoryConfig,
    Workflow,
    WorkflowFinished,
)
from fibonacci.plugin import Model

_names = count()

TURNS = 8


def chatting(model: Model) -> Workflow:
    workflow = Workflow("chat", MemoryConfig(connection_url=f"memory://llama-chat-{next(_names)}"))
    workflow.add_node(LLMNode("answer", model, "{{input.message}}", max_tokens=6, history="chat"))
    return workflow


def run(workflow: Workflow, number: int) -> ExecutionResult:
    """Run a turn, in sync or async code, streamed or not; return its result."""
    arguments: Any = {"inputs": {"message": f"Tell me more about {number}."}, "user_id": "ada"}
    match number % 4:
        case 0:
            return workflow.execute(**arguments)
        case 1:
            return last_result(list(workflow.stream(**arguments)))
        case 2:
            return asyncio.run(workflow.aexecute(**arguments))
        case _:
            return asyncio.run(read(workflow.astream(**arguments)))


async def read(events: AsyncIterator[Event]) -> ExecutionResult:
    return last_result([event async for event in events])


def last_result(events: list[Event]) -> ExecutionResult:
    assert isinstance(events[-1], WorkflowFinished)
    return events[-1].result


def test_conversation(model: Model) -> None:
    """Each turn is sent all earlier ones, the same in sync and async code, streamed and not."""
    workflow = chatting(model)
    results = [run(workflow, number) for number in range(TURNS)]
    counts = [result.usage.input_tokens for result in results]
    assert counts == sorted(set(counts))
    assert workflow.memory.history("chat", user_id="ada").count() == TURNS
    again = chatting(model)
    for number, result in enumerate(results):
        text = f"Tell me more about {number}."
        repeated = again.execute({"message": text}, user_id="ada")
        assert repeated.usage.input_tokens == result.usage.input_tokens
