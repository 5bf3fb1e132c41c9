"""The bodies of requests."""

from typing import Any

import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY, Complete
from .fake_service import FakeService, response

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def body_for(service: FakeService, model: AnthropicModel, **fields: Any) -> dict[str, Any]:
    service.add_replies(response("yes"))
    model.complete(ModelRequest(prompt="Hi", **fields))
    return service.requests[-1].body


def test_minimal_request_body(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A request has the prompt as one user message, and no optional fields."""
    service.add_replies(response("yes"))
    assert complete(model, ModelRequest(prompt="Hi {{x}}", max_tokens=7)).text == "yes"
    (received,) = service.requests
    assert received.path == "/v1/messages"
    assert received.body == {
        "model": "claude-x",
        "max_tokens": 7,
        "messages": [{"role": "user", "content": "Hi {{x}}"}],
        "stream": True,
    }
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["x-stainless-retry-count"] == "0"


def test_system_prompt_and_stop_texts_are_sent(service: FakeService, model: AnthropicModel) -> None:
    """The system prompt and the stop texts are sent in the API's fields."""
    body = body_for(service, model, system_prompt="Be brief.", stop=("END", "\n\n"))
    assert body["system"] == "Be brief."
    assert body["stop_sequences"] == ["END", "\n\n"]
    assert "system" not in body_for(service, model, system_prompt="")


def test_schema_requests_structured_output(service: FakeService, model: AnthropicModel) -> None:
    """A JSON output with a schema is requested as structured output."""
    body = body_for(service, model, output_format="json", output_schema=OBJECT)
    strict = {**OBJECT, "additionalProperties": False}
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": strict}}


def test_nested_schema_requests_structured_output(
    service: FakeService, model: AnthropicModel
) -> None:
    """A schema whose objects are nested in a list is sent, too."""
    schema = {"type": "array", "items": {"anyOf": [OBJECT, {"type": "null"}]}}
    body = body_for(service, model, output_format="json", output_schema=schema)
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
def test_unsupported_schema_is_not_sent(
    service: FakeService, model: AnthropicModel, schema: dict[str, Any]
) -> None:
    """A schema whose meaning would change in the API is not sent."""
    body = body_for(service, model, output_format="json", output_schema=schema)
    assert "output_config" not in body


def test_json_without_a_schema_sends_no_output_config(
    service: FakeService, model: AnthropicModel
) -> None:
    """JSON without a schema adds nothing to the request."""
    assert "output_config" not in body_for(service, model, output_format="json")


def test_base_url_with_a_path(service: FakeService) -> None:
    """The path of base_url precedes the API's path."""
    service.add_replies(response("yes"))
    model = AnthropicModel("claude-x", api_key=KEY, base_url=f"{service.url}/gateway/")
    model.complete(ModelRequest(prompt="Hi"))
    assert service.requests[0].path == "/gateway/v1/messages"


def test_large_prompt_is_sent_whole(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A prompt of several megabytes is sent whole."""
    service.add_replies(response("yes"))
    prompt = "naïve 東京 " * 300_000
    complete(model, ModelRequest(prompt=prompt))
    assert service.requests[0].body["messages"][0]["content"] == prompt


def test_half_a_surrogate_pair_is_refused(model: AnthropicModel, complete: Complete) -> None:
    """A prompt with half a surrogate pair raises an error that does not quote it."""
    with pytest.raises(ModelError, match="surrogate") as caught:
        complete(model, ModelRequest(prompt="secret \ud800"))
    assert not caught.value.retryable
    assert caught.value.__cause__ is caught.value.__context__ is None
