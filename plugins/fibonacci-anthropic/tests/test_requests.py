"""What the service is asked."""

from typing import Any

import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY, Ask
from .wire import Wire, answer

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def asked_for(wire: Wire, model: AnthropicModel, **fields: Any) -> dict[str, Any]:
    wire.plays(answer("yes"))
    model.complete(ModelRequest(prompt="Hi", **fields))
    return wire.asked[-1].body


def test_a_plain_question(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """The prompt is one message of the user; nothing is sent that was not asked for."""
    wire.plays(answer("yes"))
    assert ask(model, ModelRequest(prompt="Hi {{x}}", max_tokens=7)).text == "yes"
    (asked,) = wire.asked
    assert asked.path == "/v1/messages"
    assert asked.body == {
        "model": "claude-x",
        "max_tokens": 7,
        "messages": [{"role": "user", "content": "Hi {{x}}"}],
        "stream": True,
    }
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["x-stainless-retry-count"] == "0"


def test_what_else_a_request_may_hold(wire: Wire, model: AnthropicModel) -> None:
    """The system prompt and the stop texts are told in the API's own words."""
    body = asked_for(wire, model, system_prompt="Be brief.", stop=("END", "\n\n"))
    assert body["system"] == "Be brief."
    assert body["stop_sequences"] == ["END", "\n\n"]
    assert "system" not in asked_for(wire, model, system_prompt="")


def test_a_schema_is_kept_by_the_service(wire: Wire, model: AnthropicModel) -> None:
    """A JSON answer with a schema is asked for as structured output."""
    body = asked_for(wire, model, output_format="json", output_schema=OBJECT)
    strict = {**OBJECT, "additionalProperties": False}
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": strict}}


def test_a_list_of_objects(wire: Wire, model: AnthropicModel) -> None:
    """What stands within a schema is looked at, too."""
    schema = {"type": "array", "items": {"anyOf": [OBJECT, {"type": "null"}]}}
    body = asked_for(wire, model, output_format="json", output_schema=schema)
    assert body["output_config"]["format"]["schema"]["type"] == "array"


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": ["string", "null"]},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"m": {"type": "object"}}},
        {"anyOf": [{"type": "object", "patternProperties": {"^a": {}}, "properties": {"b": {}}}]},
    ],
)
def test_a_schema_that_the_service_can_not_keep(
    wire: Wire, model: AnthropicModel, schema: dict[str, Any]
) -> None:
    """What would not mean the same there is left to the prompt, and to the check in core."""
    body = asked_for(wire, model, output_format="json", output_schema=schema)
    assert "output_config" not in body


def test_json_without_a_schema(wire: Wire, model: AnthropicModel) -> None:
    """The API has no switch for it."""
    assert "output_config" not in asked_for(wire, model, output_format="json")


def test_an_address_with_a_path(wire: Wire) -> None:
    """A gateway may stand below a path."""
    wire.plays(answer("yes"))
    model = AnthropicModel("claude-x", api_key=KEY, base_url=f"{wire.url}/gateway/")
    model.complete(ModelRequest(prompt="Hi"))
    assert wire.asked[0].path == "/gateway/v1/messages"


def test_a_large_prompt_arrives(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """A prompt of some megabytes is sent whole."""
    wire.plays(answer("yes"))
    prompt = "naïve 東京 " * 300_000
    ask(model, ModelRequest(prompt=prompt))
    assert wire.asked[0].body["messages"][0]["content"] == prompt


def test_half_a_surrogate_pair_is_refused(model: AnthropicModel, ask: Ask) -> None:
    """What is no text brings an error that quotes nothing of it."""
    with pytest.raises(ModelError, match="surrogate") as caught:
        ask(model, ModelRequest(prompt="secret \ud800"))
    assert not caught.value.retryable
    assert caught.value.__cause__ is caught.value.__context__ is None
