"""Completions from the events of a response."""

import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta, Usage
from fibonacci_anthropic import AnthropicModel

from .conftest import Complete
from .fake_service import (
    FakeService,
    Step,
    block,
    end,
    event,
    events,
    response,
    start,
    stream,
    text,
)

HI = ModelRequest(prompt="Hi")


def complete_with(
    service: FakeService, model: AnthropicModel, complete: Complete, *parts: Step
) -> Completion:
    service.add_replies(list(stream(parts)))
    return complete(model, HI)


def test_completion_joins_the_deltas(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """The completion's text is that of all deltas, joined."""
    completion = complete_with(service, model, complete, *events("Hel", "", "lo"))
    assert completion == Completion(
        text="Hello", usage=Usage(input_tokens=5, output_tokens=2), stop_reason="end"
    )


def test_completion_has_text_only(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """Thinking, tool use, pings and unknown events are skipped."""
    completion = complete_with(
        service,
        model,
        complete,
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
    assert completion.text == "begin one two"


def test_empty_completion(service: FakeService, model: AnthropicModel, complete: Complete) -> None:
    """A response without text is a completion."""
    completion = complete_with(
        service, model, complete, start(input_tokens=1), *end(output_tokens=0)
    )
    assert completion == Completion(text="", usage=Usage(input_tokens=1), stop_reason="end")


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
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
def test_stop_reasons_are_mapped(
    service: FakeService,
    model: AnthropicModel,
    complete: Complete,
    stop_reason: str,
    reason: str | None,
) -> None:
    """The API's stop reasons are mapped to those of Fibonacci."""
    completion = complete_with(service, model, complete, start(), *text("x"), *end(stop_reason))
    assert completion.stop_reason == reason


def test_usage_includes_cached_tokens(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """Input tokens include those written to and read from the cache, which are counted, too."""
    first = start(
        input_tokens=3, cache_creation_input_tokens=20, cache_read_input_tokens=100, output_tokens=1
    )
    completion = complete_with(service, model, complete, first, *text("x"), *end(output_tokens=9))
    assert completion.usage == Usage(input_tokens=123, output_tokens=9, cache_read_tokens=100)


def test_missing_counts_are_ignored(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A response without token counts, as from a gateway, is a completion."""
    odd = event("message_delta", delta={"stop_reason": "end_turn"}, usage=None)
    first = event("message_start", message={"usage": {"input_tokens": None, "output_tokens": True}})
    completion = complete_with(
        service, model, complete, first, *text("x"), odd, event("message_stop")
    )
    assert (completion.text, completion.usage) == ("x", Usage())


@pytest.mark.parametrize(
    ("name", "reported"),
    [("claude-x-20260101", "claude-x-20260101"), (None, None), (5, None), ("x" * 300, None)],
)
def test_the_service_names_the_model(
    service: FakeService, model: AnthropicModel, complete: Complete, name: object, reported: object
) -> None:
    """The completion has the name of the model that the service has used."""
    first = event("message_start", message={"usage": {}, "model": name})
    completion = complete_with(service, model, complete, first, *text("x"), *end())
    assert completion.model == reported


@pytest.mark.parametrize(
    ("details", "why"),
    [
        (
            {"type": "refusal", "category": "bio", "explanation": "a quotation of the prompt"},
            r"refused to continue \(bio\);",
        ),
        ({"type": "refusal", "category": "a quotation of the prompt"}, "refused to continue;"),
        (None, "refused to continue;"),
    ],
)
def test_refusal_raises_model_error(
    service: FakeService, model: AnthropicModel, complete: Complete, details: object, why: str
) -> None:
    """A refusal raises ModelError without the partial output."""
    with pytest.raises(ModelError, match=why) as caught:
        complete_with(
            service,
            model,
            complete,
            start(input_tokens=7),
            *text("half"),
            *end("refusal", stop_details=details, output_tokens=2),
        )
    assert not caught.value.retryable
    assert caught.value.usage == Usage(input_tokens=7, output_tokens=2)
    assert "quotation" not in str(caught.value)


def test_stream_ends_with_the_completion(service: FakeService, model: AnthropicModel) -> None:
    """stream() yields the deltas, then what complete() returns."""
    service.add_replies(response("Hel", "lo"), response("Hel", "lo"))
    *pieces, completion = model.stream(HI)
    assert pieces == [TextDelta("Hel"), TextDelta("lo")]
    assert completion == model.complete(HI)
