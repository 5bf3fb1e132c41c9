"""Local variables in tracebacks, as error trackers record them, do not hold the key."""

from pathlib import Path
from traceback import TracebackException
from typing import Any

import pytest

import fibonacci_anthropic
from fibonacci.errors import ConfigurationError
from fibonacci.plugin import ModelSettings
from fibonacci_anthropic import AnthropicModel, fibonacci_model

OURS = str(Path(fibonacci_anthropic.__file__).parent)


def shown(error: BaseException) -> str:
    """Return the local variables of our functions in a traceback."""
    traceback = TracebackException.from_exception(error, capture_locals=True)
    ours = [frame.locals for frame in traceback.stack if frame.filename.startswith(OURS)]
    assert ours
    return str(ours)


@pytest.mark.parametrize(
    "arguments",
    [
        {"api_key": "hunter2 hunter2"},
        {"api_key": "hunter2", "base_url": "ftp://hunter2"},
        {"api_key": "hunter2", "base_url": "https://user:hunter2@gateway"},
        {"api_key": "hunter2", "base_url": "https://hunter2:no-port"},
    ],
)
def test_arguments_are_hidden(arguments: dict[str, Any]) -> None:
    """No traceback variable holds the key or the URL passed as arguments."""
    with pytest.raises(ConfigurationError) as caught:
        AnthropicModel("claude-x", **arguments)
    assert "hunter2" not in shown(caught.value)


@pytest.mark.parametrize(
    "environment",
    [
        {"ANTHROPIC_API_KEY": "hunter2 hunter2"},
        {"ANTHROPIC_AUTH_TOKEN": "hunter2 hunter2"},
        {"ANTHROPIC_API_KEY": "hunter2", "ANTHROPIC_BASE_URL": "https://user:hunter2@gateway"},
        {"ANTHROPIC_API_KEY": "hunter2", "HTTPS_PROXY": "ftp://user:hunter2@proxy"},
        {"ANTHROPIC_API_KEY": "hunter2", "SSL_CERT_FILE": "/nowhere"},
    ],
)
def test_environment_variables_are_hidden(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """No traceback variable holds the key or a URL from the environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        fibonacci_model(ModelSettings(model="claude-x"))
    assert "hunter2" not in shown(caught.value)
