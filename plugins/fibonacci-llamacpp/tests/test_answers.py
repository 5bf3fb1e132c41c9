"""What one question brings. The words of so small a model are its own; their form is ours."""

import json
from pathlib import Path

import attrs
import pytest

from fibonacci import LLMNode, Workflow
from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import ModelServer

from .questions import ENDLESS, SAID

STORY = ModelRequest(prompt="Tell me a story about a ship.", max_tokens=12)


def test_it_answers_and_ends_by_itself(wise: Model) -> None:
    """A question brings text, the tokens that it took, and the reason why it ended."""
    answer = wise.complete(ModelRequest(prompt="Say hello.", max_tokens=200))
    assert answer.text
    assert "<|" not in answer.text
    assert 0 < answer.usage.output_tokens < 200
    assert answer.usage.input_tokens > 4
    assert answer.stop_reason == "end"


def test_no_more_tokens_than_allowed(model: Model) -> None:
    """The answer ends at max_tokens, and says so."""
    answer = model.complete(STORY)
    assert answer.usage.output_tokens == STORY.max_tokens
    assert answer.stop_reason == "max_tokens"


def test_a_node_names_it() -> None:
    """A workflow finds the model by the name that users write."""
    workflow = Workflow("named")
    workflow.add_node(LLMNode("n", "llamacpp:smollm2", "Say hello.", max_tokens=2))
    assert workflow.execute()["n"]


def test_an_answer_ends_with_the_context(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """Where prompt and answer fill the context, the answer ends as if at max_tokens."""
    monkeypatch.setattr("fibonacci_llamacpp.worker.CONTEXT_SIZE", 256)
    small = LlamaModel(ModelServer(weights))
    answer = small.complete(ENDLESS)
    assert 255 <= answer.usage.input_tokens + answer.usage.output_tokens <= 257
    assert answer.stop_reason == "max_tokens"


def test_stop_text_is_left_out(model: Model) -> None:
    """The answer ends before the first text of `stop`, also in the pieces of a stream."""
    said = model.complete(SAID).text
    word = said.split()[2]
    request = attrs.evolve(SAID, stop=("never said", word))
    answer = model.complete(request)
    assert answer.text == said[: said.index(word)]
    assert answer.stop_reason == "stop"
    pieces = [piece.text for piece in model.stream(request) if isinstance(piece, TextDelta)]
    assert "".join(pieces) == answer.text


def test_the_system_prompt_reaches_the_model(wise: Model) -> None:
    """What the model is told about its part is read, and changes what it says."""
    plain = ModelRequest(prompt="Who are you?", system_prompt="", max_tokens=12)
    pirate = ModelRequest(
        prompt="Who are you?", system_prompt="You are Jack, a pirate at sea.", max_tokens=12
    )
    first, second = wise.complete(plain), wise.complete(pirate)
    assert first.text != second.text
    assert second.usage.input_tokens > first.usage.input_tokens


def test_the_same_prompt_brings_the_same_answer(wise: Model) -> None:
    """Without a temperature, and at 0, the likeliest tokens are taken."""
    zero = ModelRequest(prompt=STORY.prompt, max_tokens=STORY.max_tokens, temperature=0)
    assert wise.complete(STORY).text == wise.complete(zero).text == wise.complete(STORY).text


def test_a_temperature_brings_variety(wise: Model) -> None:
    """At a high temperature five answers are not all the same."""
    hot = ModelRequest(prompt="Say anything.", max_tokens=8, temperature=1.5)
    assert len({wise.complete(hot).text for _ in range(5)}) > 1


def test_json_is_an_object(wise: Model) -> None:
    """The model can say nothing but JSON; without a schema, an object."""
    answer = wise.complete(
        ModelRequest(prompt="A person's name and age as JSON.", output_format="json")
    )
    assert isinstance(json.loads(answer.text), dict)


def test_json_fits_the_schema(wise: Model) -> None:
    """The model keeps to the schema, whatever it was asked."""
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer"}},
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    answer = wise.complete(
        ModelRequest(prompt="Say hello.", output_format="json", output_schema=schema)
    )
    found = json.loads(answer.text)
    assert found.keys() == {"colour", "count"}
    assert found["colour"] in {"red", "green"}
    assert type(found["count"]) is int


def test_a_prompt_over_the_context_is_refused(model: Model) -> None:
    """The error names both sizes, and asks for no other try."""
    with pytest.raises(ModelError, match=r"has 5\d\d\d tokens, .* has 4096, .*Shorten") as caught:
        model.complete(ModelRequest(prompt="word " * 5000))
    assert not caught.value.retryable


@pytest.mark.parametrize("prompt", ["", "naïve 東京 🦜", "nul \0 nul", "{{ x }} {% y %}", "\n" * 9])
def test_any_text_is_a_prompt(model: Model, prompt: str) -> None:
    """No text breaks the template or the way to the model."""
    assert isinstance(model.complete(ModelRequest(prompt=prompt, max_tokens=2)), Completion)


def test_half_a_surrogate_pair_is_refused(model: Model) -> None:
    """What is no text brings an error that quotes nothing of it."""
    with pytest.raises(ModelError, match="surrogate") as caught:
        model.complete(ModelRequest(prompt="secret \ud800"))
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__
