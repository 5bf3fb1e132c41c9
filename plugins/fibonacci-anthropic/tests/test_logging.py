"""What is logged: a model's end of life, and never a prompt, an answer or a key."""

import logging

import anthropic
import pytest
from anthropic.resources.messages import DEPRECATED_MODELS

from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY, Ask
from .wire import Wire, answer, status

SECRET = ModelRequest(prompt="prompt-hunter2", system_prompt="system-hunter2", max_tokens=7)


def test_no_log_has_what_was_said(
    wire: Wire, model: AnthropicModel, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at DEBUG, not of any logger, not after a failure."""
    caplog.set_level(logging.DEBUG)
    wire.plays(answer("answer-hunter2"), status(529))
    ask(model, SECRET)
    with pytest.raises(Exception, match="529"):
        ask(model, SECRET)
    assert caplog.text
    assert "hunter2" not in caplog.text
    assert KEY not in caplog.text


def test_the_logs_of_others_are_whole(
    wire: Wire, model: AnthropicModel, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that the application made itself logs as it always did."""
    wire.plays(answer("yes"), answer("yes"))
    model.complete(SECRET)
    caplog.set_level(logging.DEBUG)
    client = anthropic.Anthropic(api_key=KEY, base_url=wire.url)
    with (
        client,
        client.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "own"}], stream=True
        ) as stream,
    ):
        list(stream)
    assert "'content': 'own'" in caplog.text


def test_a_model_near_its_end(
    wire: Wire, ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning for a model and process, which stops no answer even where warnings are errors."""
    monkeypatch.setattr("fibonacci_anthropic.messages._warned_models", set())
    old, day = next(iter(DEPRECATED_MODELS.items()))
    wire.plays(*[answer("yes")] * 3)
    for _ in range(3):
        assert ask(AnthropicModel(old, api_key=KEY, base_url=wire.url), SECRET).text == "yes"
    told = [one for one in caplog.records if one.name == "fibonacci_anthropic"]
    assert [(one.levelname, one.getMessage()) for one in told] == [
        ("WARNING", f"the model {old} reaches its end of life on {day}: move to a newer model")
    ]
