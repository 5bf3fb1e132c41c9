"""Tools that show the variables of the functions an error came through show no key."""

from pathlib import Path
from traceback import TracebackException

import pytest

import fibonacci_anthropic
from fibonacci.errors import ConfigurationError
from fibonacci.plugin import ModelSettings
from fibonacci_anthropic import AnthropicModel, fibonacci_model

OURS = str(Path(fibonacci_anthropic.__file__).parent)


def shown(error: BaseException) -> str:
    """What a traceback with variables shows of our functions."""
    told = TracebackException.from_exception(error, capture_locals=True)
    ours = [frame.locals for frame in told.stack if frame.filename.startswith(OURS)]
    assert ours
    return str(ours)


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": "hunter2 hunter2"},
        {"api_key": "hunter2", "base_url": "ftp://hunter2"},
        {"api_key": "hunter2", "base_url": "https://user:hunter2@gateway"},
        {"api_key": "hunter2", "base_url": "https://hunter2:no-port"},
    ],
)
def test_what_is_given(given: dict[str, str]) -> None:
    """Neither the argument that is bad, nor the one beside it."""
    with pytest.raises(ConfigurationError) as caught:
        AnthropicModel("claude-x", **given)
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
def test_what_is_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """The same where it is not given."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        fibonacci_model(ModelSettings(model="claude-x"))
    assert "hunter2" not in shown(caught.value)
