"""A request's messages: the text of one, and what the offline models make of a history."""

from typing import Any

import pytest

from fibonacci._workflow.models import find_model
from fibonacci.errors import ModelError
from fibonacci.plugin import ModelRequest, Usage, message_text

HISTORY = [
    {"role": "user", "content": "Hi"},
    {"role": "tool", "content": [{"type": "image"}], "tool_call_id": "1"},
]


def text_block(text: str, kind: str = "text", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "text": text, **fields}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user", "content": "Hello"}, "Hello"),
        ({"role": "user", "content": ""}, ""),
        ({"role": "assistant", "content": None}, ""),
        ({"role": "assistant"}, ""),
        ({"role": "assistant", "content": []}, ""),
        ({"role": "assistant", "content": "Hello", "tool_calls": []}, "Hello"),
        ({"role": "user", "content": "Hello", "name": "ada", "id": "1"}, "Hello"),
        ({"role": "system", "content": [text_block("one"), text_block("two")]}, "one\n\ntwo"),
        ({"role": "user", "content": [text_block("Hi", "input_text")]}, "Hi"),
        ({"role": "assistant", "content": (text_block("Hi", "output_text", citations=[]),)}, "Hi"),
    ],
)
def test_text_of_a_message(message: dict[str, Any], text: str) -> None:
    """The text of a message is its content, or the texts of its blocks, joined by blank lines."""
    assert message_text(message) == text


@pytest.mark.parametrize(
    ("message", "match"),
    [
        ({"role": "tool", "content": "SECRET"}, "tool call, or the result of one"),
        ({"role": "assistant", "tool_calls": [{"id": "SECRET"}]}, "tool call"),
        ({"role": "assistant", "content": "SECRET", "function_call": {"name": "x"}}, "tool call"),
        ({"role": "user", "content": [{"type": "image", "source": "SECRET"}]}, "type 'image'"),
        ({"role": "user", "content": [text_block("SECRET"), {"type": "x" * 99}]}, "type 'x{40}'"),
        ({"role": "user", "content": [{"text": "SECRET"}]}, "type NoneType"),
        ({"role": "user", "content": [{"type": "text", "text": ["SECRET"]}]}, "type 'text'"),
    ],
)
def test_what_is_no_text_is_refused(message: dict[str, Any], match: str) -> None:
    """A tool call, a tool's result and a block of another type raise; no retry helps."""
    with pytest.raises(ModelError, match=match) as caught:
        message_text(message)
    assert not caught.value.retryable
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(("model", "text"), [("echo", "And now?"), ('scripted:["One."]', "One.")])
def test_offline_models_ignore_the_history(model: str, text: str) -> None:
    """The echo returns the prompt and a script its text, whatever the history."""
    request = ModelRequest(messages=HISTORY, prompt="And now?")
    assert find_model(model).complete(request).text == text


def test_a_request_shows_no_message() -> None:
    """The repr of a request shows none of its messages."""
    assert "Hi" not in repr(ModelRequest(messages=HISTORY, prompt="And now?"))


def test_usage_adds_cached_tokens() -> None:
    """The sum of two usages has the sums of all three numbers."""
    one = Usage(input_tokens=5, output_tokens=1, cache_read_tokens=3)
    other = Usage(input_tokens=2, cache_read_tokens=2)
    assert one + other == Usage(input_tokens=7, output_tokens=1, cache_read_tokens=5)


def test_refusal_is_a_text() -> None:
    """A refusal in OpenAI's form, which has no content, is what the assistant said."""
    message = {"role": "assistant", "content": None, "refusal": "I can't."}
    assert message_text(message) == "I can't."


def test_request_with_messages_is_hashable() -> None:
    """A request keeps its messages as a tuple, and can be a key, as one without messages can."""
    message = {"role": "user", "content": "Hi"}
    request = ModelRequest(messages=[message], prompt="x")
    assert request.messages == (message,)
    assert hash(request) == hash(ModelRequest(prompt="x"))
    assert request != ModelRequest(prompt="x")
