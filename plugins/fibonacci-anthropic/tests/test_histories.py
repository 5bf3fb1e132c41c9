"""Nodes with a history: what goes over the wire in a long conversation."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from services.llama import KEY as LOCAL_KEY
from services.llama import Llama

from fibonacci import LLMNode, MemoryConfig, Workflow
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY
from .echo_service import echo
from .fake_service import FakeService

_names = count()

TURNS = 50


def chatting(model: AnthropicModel, **history: Any) -> Workflow:
    """Return a workflow with one node that continues the user's conversation."""
    workflow = Workflow("chat", MemoryConfig(connection_url=f"memory://claude-chat-{next(_names)}"))
    form: Any = {"key": "chat", **history}
    workflow.add_node(
        LLMNode("answer", model, "{{input.message}}", system_prompt="Be brief.", history=form)
    )
    return workflow


def run(workflow: Workflow, number: int) -> None:
    """Run a turn in one of the four ways."""
    arguments: Any = {"inputs": {"message": f"message {number}"}, "user_id": "ada"}
    match number % 4:
        case 0:
            workflow.execute(**arguments)
        case 1:
            list(workflow.stream(**arguments))
        case 2:
            asyncio.run(workflow.aexecute(**arguments))
        case _:
            asyncio.run(read(workflow.astream(**arguments)))


async def read(events: AsyncIterator[Any]) -> None:
    async for _ in events:
        pass


def test_a_conversation_at_the_wire() -> None:
    """Each request has all earlier turns before the prompt, streamed or not, sync or async."""
    with FakeService(respond=echo) as service:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url)
        workflow = chatting(model, max_tokens=10_000)
        for number in range(TURNS):
            run(workflow, number)
        messages = workflow.memory.history("chat", user_id="ada").messages()
        assert len(messages) == 2 * TURNS
        for number, request in enumerate(service.requests):
            assert request.body["system"] == "Be brief."
            assert request.body["messages"] == [
                *messages[: 2 * number],
                {"role": "user", "content": f"message {number}"},
            ]


def test_a_cached_conversation_at_the_wire() -> None:
    """With a cache, each request ends the cached part at the last message of the history."""
    with FakeService(respond=echo) as service:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url, cache="5m")
        workflow = chatting(model)
        for number in range(3):
            run(workflow, number)
        *history, prompt = service.requests[-1].body["messages"]
        assert [message["role"] for message in history] == ["user", "assistant"] * 2
        assert [isinstance(message["content"], list) for message in history] == [False] * 3 + [True]
        assert history[-1]["content"][0]["cache_control"] == {"type": "ephemeral"}
        assert prompt == {"role": "user", "content": "message 2"}


@pytest.mark.parametrize("max_tokens", [60, 3_000])
def test_a_conversation_with_a_real_model(local_model: Llama, max_tokens: int) -> None:
    """A real model is sent more with each turn, until the window is full."""
    model = AnthropicModel("claude-x", api_key=LOCAL_KEY, base_url=local_model.url)
    workflow = chatting(model, max_tokens=max_tokens)
    counts = []
    for number in range(8):
        result = workflow.execute({"message": f"message {number}"}, user_id="ada")
        counts.append(result.usage.input_tokens)
    assert workflow.memory.history("chat", user_id="ada").count() == 8
    assert counts[0] < counts[1]
    if max_tokens == 3_000:
        assert counts == sorted(set(counts))
    else:
        assert counts[-1] < 3 * counts[1]
