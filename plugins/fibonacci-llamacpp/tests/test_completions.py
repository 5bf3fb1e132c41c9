"""Completions. The words of so small a model vary; their form does not."""

import json
from pathlib import Path

import attrs
import pytest

from fibonacci import LLMNode, Workflow
from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import ModelServer

from .model_requests import ENDLESS, SENTENCE

STORY = ModelRequest(prompt="Tell me a story about a ship.", max_tokens=12)


def test_completion_has_text_and_usage(full_model: Model) -> None:
    """The completion has a text, token counts and a stop reason, and no marker."""
    completion = full_model.complete(ModelRequest(prompt="Say hello.", max_tokens=200))
    assert completion.text
    assert "<|" not in completion.text
    assert 0 < completion.usage.output_tokens < 200
    assert completion.usage.input_tokens > 4
    assert completion.stop_reason == "end"


def test_max_tokens_limits_the_completion(model: Model) -> None:
    """The completion ends at max_tokens with that stop reason."""
    completion = model.complete(STORY)
    assert completion.usage.output_tokens == STORY.max_tokens
    assert completion.stop_reason == "max_tokens"


def test_workflow_finds_the_model_by_name() -> None:
    """A model name that starts with llamacpp: selects this plugin."""
    workflow = Workflow("named")
    workflow.add_node(LLMNode("n", "llamacpp:smollm2", "Say hello.", max_tokens=2))
    assert workflow.execute()["n"]


def test_full_context_ends_the_completion(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """A completion that fills the context ends with the stop reason max_tokens."""
    monkeypatch.setattr("fibonacci_llamacpp.worker.CONTEXT_SIZE", 256)
    small = LlamaModel(ModelServer(weights))
    completion = small.complete(ENDLESS)
    assert 255 <= completion.usage.input_tokens + completion.usage.output_tokens <= 257
    assert completion.stop_reason == "max_tokens"


def test_stop_text_is_left_out(model: Model) -> None:
    """The completion ends before the first stop text, and so do the deltas of a stream."""
    whole = model.complete(SENTENCE).text
    word = whole.split()[2]
    request = attrs.evolve(SENTENCE, stop=("never generated", word))
    completion = model.complete(request)
    assert completion.text == whole[: whole.index(word)]
    assert completion.stop_reason == "stop"
    pieces = [piece.text for piece in model.stream(request) if isinstance(piece, TextDelta)]
    assert "".join(pieces) == completion.text


def test_system_prompt_reaches_the_model(full_model: Model) -> None:
    """The system prompt changes the completion."""
    plain = ModelRequest(prompt="Who are you?", system_prompt="", max_tokens=12)
    pirate = ModelRequest(
        prompt="Who are you?", system_prompt="You are Jack, a pirate at sea.", max_tokens=12
    )
    first, second = full_model.complete(plain), full_model.complete(pirate)
    assert first.text != second.text
    assert second.usage.input_tokens > first.usage.input_tokens


def test_same_prompt_gives_the_same_completion(full_model: Model) -> None:
    """Without a temperature, and at 0, the most likely tokens are picked."""
    zero = ModelRequest(prompt=STORY.prompt, max_tokens=STORY.max_tokens, temperature=0)
    assert (
        full_model.complete(STORY).text
        == full_model.complete(zero).text
        == full_model.complete(STORY).text
    )


def test_high_temperature_varies_completions(full_model: Model) -> None:
    """At a high temperature five completions are not all the same."""
    hot = ModelRequest(prompt="Say anything.", max_tokens=8, temperature=1.5)
    assert len({full_model.complete(hot).text for _ in range(5)}) > 1


def test_json_without_a_schema_is_an_object(full_model: Model) -> None:
    """JSON output without a schema is an object."""
    completion = full_model.complete(
        ModelRequest(prompt="A person's name and age as JSON.", output_format="json")
    )
    assert isinstance(json.loads(completion.text), dict)


def test_json_matches_the_schema(full_model: Model) -> None:
    """JSON output matches the schema, whatever the prompt."""
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer"}},
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    completion = full_model.complete(
        ModelRequest(prompt="Say hello.", output_format="json", output_schema=schema)
    )
    found = json.loads(completion.text)
    assert found.keys() == {"colour", "count"}
    assert found["colour"] in {"red", "green"}
    assert type(found["count"]) is int


def test_prompt_longer_than_the_context_is_refused(model: Model) -> None:
    """The error for a prompt longer than the context has both sizes, and is not retryable."""
    with pytest.raises(ModelError, match=r"have 5\d\d\d tokens, .* has 4096, .*Shorten") as caught:
        model.complete(ModelRequest(prompt="word " * 5000))
    assert not caught.value.retryable


def test_history_longer_than_the_context_is_refused(model: Model) -> None:
    """A history counts for the context, and the error says how to shorten it."""
    messages = [
        {"role": "user", "content": "word " * 5000},
        {"role": "assistant", "content": "Yes"},
    ]
    with pytest.raises(ModelError, match=r"have 5\d\d\d tokens, .*lower the history's max_tokens"):
        model.complete(ModelRequest(messages=messages, prompt="Hi"))


@pytest.mark.parametrize("prompt", ["", "naïve 東京 🦜", "nul \0 nul", "{{ x }} {% y %}", "\n" * 9])
def test_any_text_is_a_valid_prompt(model: Model, prompt: str) -> None:
    """No text breaks the template or the request."""
    assert isinstance(model.complete(ModelRequest(prompt=prompt, max_tokens=2)), Completion)


def test_half_a_surrogate_pair_is_refused(model: Model) -> None:
    """A prompt with half a surrogate pair raises an error that does not quote it."""
    with pytest.raises(ModelError, match="surrogate") as caught:
        model.complete(ModelRequest(prompt="secret \ud800"))
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__
