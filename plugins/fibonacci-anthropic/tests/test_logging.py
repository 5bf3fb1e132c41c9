"""Logging: a model's end of life, and never a prompt, a completion or a key."""

import logging

import anthropic
import pytest
from anthropic.resources.messages import DEPRECATED_MODELS

from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY, Complete
from .fake_service import FakeService, error_response, response

SECRET = ModelRequest(prompt="prompt-hunter2", system_prompt="system-hunter2", max_tokens=7)


def test_no_log_record_has_prompt_completion_or_key(
    service: FakeService,
    model: AnthropicModel,
    complete: Complete,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No logger records a prompt, a completion or a key, at DEBUG or after an error."""
    caplog.set_level(logging.DEBUG)
    service.add_replies(response("reply-hunter2"), error_response(529))
    complete(model, SECRET)
    with pytest.raises(Exception, match="529"):
        complete(model, SECRET)
    assert caplog.text
    assert "hunter2" not in caplog.text
    assert KEY not in caplog.text


def test_log_of_other_clients_is_unchanged(
    service: FakeService, model: AnthropicModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests of a client that the application created are logged as usual."""
    service.add_replies(response("yes"), response("yes"))
    model.complete(SECRET)
    caplog.set_level(logging.DEBUG)
    client = anthropic.Anthropic(api_key=KEY, base_url=service.url)
    with (
        client,
        client.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "own"}], stream=True
        ) as stream,
    ):
        list(stream)
    assert "'content': 'own'" in caplog.text


def test_deprecated_model_is_logged_once(
    service: FakeService,
    complete: Complete,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deprecated model is logged once per process, and its requests succeed."""
    monkeypatch.setattr("fibonacci_anthropic.messages._warned_models", set())
    old, day = next(iter(DEPRECATED_MODELS.items()))
    service.add_replies(*[response("yes")] * 3)
    for _ in range(3):
        assert (
            complete(AnthropicModel(old, api_key=KEY, base_url=service.url), SECRET).text == "yes"
        )
    records = [record for record in caplog.records if record.name == "fibonacci.anthropic"]
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("WARNING", f"the model {old} reaches its end of life on {day}: move to a newer model")
    ]
