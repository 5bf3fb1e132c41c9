"""The whole way, with a real model at its end: the SDK, HTTP, llama.cpp's server."""

import asyncio

import pytest
from services.llama import KEY, Llama

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta
from fibonacci_anthropic import AnthropicModel

from .conftest import Ask

STORY = ModelRequest(prompt="Tell me a story about a ship.", max_tokens=12)


@pytest.fixture
def model(local_model: Llama) -> AnthropicModel:
    """The real model; it answers to any name."""
    return AnthropicModel("claude-x", api_key=KEY, base_url=local_model.url)


def test_it_answers(model: AnthropicModel, ask: Ask) -> None:
    """A question brings words, the tokens that it took, and why it ended."""
    answer = ask(model, STORY)
    assert answer.text
    assert answer.usage.input_tokens > 10
    assert 2 <= answer.usage.output_tokens <= 12
    assert answer.stop_reason == "end"


def test_no_more_tokens_than_allowed(model: AnthropicModel, ask: Ask) -> None:
    """The answer ends at max_tokens, and says so."""
    answer = ask(model, ModelRequest(prompt=STORY.prompt, max_tokens=2))
    assert answer.usage.output_tokens == 2
    assert answer.stop_reason == "max_tokens"


def test_it_streams(model: AnthropicModel) -> None:
    """Many pieces, and the whole that they make; in sync and async code."""

    async def collected() -> list[TextDelta | Completion]:
        return [piece async for piece in model.astream(STORY)]

    for *pieces, whole in (list(model.stream(STORY)), asyncio.run(collected())):
        assert isinstance(whole, Completion)
        assert len(pieces) >= 2
        assert "".join(piece.text for piece in pieces) == whole.text


def test_the_system_prompt_reaches_it(model: AnthropicModel, ask: Ask) -> None:
    """What the model is told about its part is read with the prompt."""
    told = ModelRequest(prompt=STORY.prompt, system_prompt="You are a pirate.", max_tokens=2)
    plain = ModelRequest(prompt=STORY.prompt, system_prompt="x", max_tokens=2)
    assert ask(model, told).usage.input_tokens > ask(model, plain).usage.input_tokens


def test_a_key_that_it_does_not_know(local_model: Llama, ask: Ask) -> None:
    """A wrong key is refused by the server, and the error says what to check."""
    model = AnthropicModel("claude-x", api_key="another-key", base_url=local_model.url)
    with pytest.raises(ModelError, match=r"401 authentication_error: .*Check ANTHROPIC_API_KEY"):
        ask(model, STORY)
