"""The SDK and HTTP with a real model, of llama.cpp's server."""

import asyncio

import pytest
from services.llama import KEY, Llama

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Message, ModelRequest, TextDelta
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


def input_tokens(model: AnthropicModel, complete: Complete, *messages: Message) -> int:
    """Return the number of tokens of a story's prompt after these messages."""
    request = ModelRequest(messages=messages, prompt=STORY.prompt, max_tokens=2)
    return complete(model, request).usage.input_tokens


ASKED = {"role": "user", "content": "Which ships are there?"}
ANSWERED = {"role": "assistant", "content": "The Argo, and the Beagle."}


def test_history_reaches_the_model(model: AnthropicModel, complete: Complete) -> None:
    """Each message of a history adds input tokens, as text and in blocks."""
    blocks = [{"type": "text", "text": ASKED["content"]}, {"type": "text", "text": "All of them!"}]
    sizes = [
        input_tokens(model, complete),
        input_tokens(model, complete, ASKED),  # two messages of the user in a row
        input_tokens(model, complete, ASKED, ANSWERED),
        input_tokens(model, complete, {**ASKED, "content": blocks}, ANSWERED),
    ]
    assert sizes == sorted(set(sizes))


def test_system_message_reaches_the_model(model: AnthropicModel, complete: Complete) -> None:
    """A message of the system is what a system prompt is."""
    pirate = {"role": "system", "content": "You are a pirate."}
    request = ModelRequest(prompt=STORY.prompt, system_prompt="You are a pirate.", max_tokens=2)
    expected = complete(model, request).usage.input_tokens
    assert input_tokens(model, complete, pirate) == expected


def test_caching_changes_no_tokens(
    local_model: Llama, model: AnthropicModel, complete: Complete
) -> None:
    """A server without a cache of that kind gets the same text."""
    caching = AnthropicModel("claude-x", api_key=KEY, base_url=local_model.url, cache="1h")
    messages = ({"role": "system", "content": "You are a pirate."}, ASKED, ANSWERED)
    expected = input_tokens(model, complete, *messages)
    assert input_tokens(caching, complete, *messages) == expected
