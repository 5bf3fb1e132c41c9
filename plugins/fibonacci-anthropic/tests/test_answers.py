"""What becomes of the events of an answer."""

import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta, Usage
from fibonacci_anthropic import AnthropicModel

from .conftest import Ask
from .wire import Step, Wire, answer, block, end, event, events, start, stream, text

HI = ModelRequest(prompt="Hi")


def told(wire: Wire, model: AnthropicModel, ask: Ask, *parts: Step) -> Completion:
    wire.plays(list(stream(parts)))
    return ask(model, HI)


def test_the_pieces_make_the_whole(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """The text of all pieces, joined."""
    whole = told(wire, model, ask, *events("Hel", "", "lo"))
    assert whole == Completion(
        text="Hello", usage=Usage(input_tokens=5, output_tokens=2), stop_reason="end"
    )


def test_only_text_is_the_answer(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """Thoughts, uses of tools, pings and what is not known are left out."""
    whole = told(
        wire,
        model,
        ask,
        start(input_tokens=1),
        event("ping"),
        *block(
            "thinking",
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "x"},
        ),
        *block("redacted_thinking", data="xx", index=1),
        *block(
            "text",
            {"type": "text_delta", "text": "one "},
            {"type": "citations_delta", "citation": {}},
            index=2,
            text="begin ",
        ),
        *block(
            "tool_use",
            {"type": "input_json_delta", "partial_json": "{}"},
            index=3,
            id="t",
            name="n",
            input={},
        ),
        event("something_new", text="no"),
        b"event: message_start\ndata: 5\n\n",
        b"event: message_start\ndata: null\n\n",
        b": a comment\n\n",
        *text("two"),
        *end(),
    )
    assert whole.text == "begin one two"


def test_no_text_at_all(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """A model may have nothing to say: an answer like any other."""
    whole = told(wire, model, ask, start(input_tokens=1), *end(output_tokens=0))
    assert whole == Completion(text="", usage=Usage(input_tokens=1), stop_reason="end")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "end"),
        ("max_tokens", "max_tokens"),
        ("model_context_window_exceeded", "max_tokens"),
        ("stop_sequence", "stop"),
        ("tool_use", None),
        ("pause_turn", None),
        ("something_new", None),
    ],
)
def test_stop_reasons(
    wire: Wire, model: AnthropicModel, ask: Ask, said: str, reason: str | None
) -> None:
    """Why the answer ended, in the words of Fibonacci."""
    whole = told(wire, model, ask, start(), *text("x"), *end(said))
    assert whole.stop_reason == reason


def test_usage_counts_all_that_was_read(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """Tokens written to and read from the service's cache are input; the last counts hold."""
    first = start(
        input_tokens=3, cache_creation_input_tokens=20, cache_read_input_tokens=100, output_tokens=1
    )
    whole = told(wire, model, ask, first, *text("x"), *end(output_tokens=9))
    assert whole.usage == Usage(input_tokens=123, output_tokens=9)


def test_counts_that_are_none(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """A gateway that does not count is no reason to lose an answer."""
    odd = event("message_delta", delta={"stop_reason": "end_turn"}, usage=None)
    first = event("message_start", message={"usage": {"input_tokens": None, "output_tokens": True}})
    whole = told(wire, model, ask, first, *text("x"), odd, event("message_stop"))
    assert (whole.text, whole.usage) == ("x", Usage())


@pytest.mark.parametrize(
    ("details", "why"),
    [
        (
            {"type": "refusal", "category": "bio", "explanation": "words of the prompt"},
            r"refused to continue \(bio\);",
        ),
        ({"type": "refusal", "category": "words of the prompt"}, "refused to continue;"),
        (None, "refused to continue;"),
    ],
)
def test_a_refusal_is_no_answer(
    wire: Wire, model: AnthropicModel, ask: Ask, details: object, why: str
) -> None:
    """What a model said before it refused is dropped, and is written into no memory."""
    with pytest.raises(ModelError, match=why) as caught:
        told(wire, model, ask, start(), *text("half"), *end("refusal", stop_details=details))
    assert not caught.value.retryable
    assert "words" not in str(caught.value)


def test_a_stream_ends_with_the_whole(wire: Wire, model: AnthropicModel) -> None:
    """`stream` brings the pieces as they are, and what `complete` brings."""
    wire.plays(answer("Hel", "lo"), answer("Hel", "lo"))
    *pieces, whole = model.stream(HI)
    assert pieces == [TextDelta("Hel"), TextDelta("lo")]
    assert whole == model.complete(HI)
