"""The SDK and HTTP with a real model, of llama.cpp's server."""

import asyncio

import pytest
from services.llama import KEY, Llama

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta
from fibonacci_anthropic import AnthropicModel

from .conftest import Complete

STORY = ModelRequest(prompt="Tell me a story about a ship.", max_tokens=12)


@pytest.fixture
def model(local_model: Llama) -> AnthropicModel:
    """The real model, which accepts any name."""
    return AnthropicModel("claude-x", api_key=KEY, base_url=local_model.url)


def test_completion_has_text_and_usage(model: AnthropicModel, complete: Complete) -> None:
    """The completion has a text, token counts and a stop reason."""
    completion = complete(model, STORY)
    assert completion.text
    assert completion.usage.input_tokens > 10
    assert 2 <= completion.usage.output_tokens <= 12
    assert completion.stop_reason == "end"


def test_max_tokens_limits_the_completion(model: AnthropicModel, complete: Complete) -> None:
    """The completion ends at max_tokens with that stop reason."""
    completion = complete(model, ModelRequest(prompt=STORY.prompt, max_tokens=2))
    assert completion.usage.output_tokens == 2
    assert completion.stop_reason == "max_tokens"


def test_stream_yields_deltas_and_the_completion(model: AnthropicModel) -> None:
    """The deltas of a stream join to the completion's text, in sync and async code."""

    async def collected() -> list[TextDelta | Completion]:
        return [piece async for piece in model.astream(STORY)]

    for *pieces, whole in (list(model.stream(STORY)), asyncio.run(collected())):
        assert isinstance(whole, Completion)
        assert len(pieces) >= 2
        assert "".join(piece.text for piece in pieces) == whole.text


def test_system_prompt_reaches_the_model(model: AnthropicModel, complete: Complete) -> None:
    """The system prompt adds input tokens."""
    pirate = ModelRequest(prompt=STORY.prompt, system_prompt="You are a pirate.", max_tokens=2)
    plain = ModelRequest(prompt=STORY.prompt, system_prompt="x", max_tokens=2)
    assert complete(model, pirate).usage.input_tokens > complete(model, plain).usage.input_tokens


def test_wrong_key_is_refused(local_model: Llama, complete: Complete) -> None:
    """The error for a wrong key says what to check."""
    model = AnthropicModel("claude-x", api_key="another-key", base_url=local_model.url)
    with pytest.raises(ModelError, match=r"401 authentication_error: .*Check ANTHROPIC_API_KEY"):
        complete(model, STORY)
