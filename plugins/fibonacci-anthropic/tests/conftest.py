"""The service, twice: played from a script, and as a real model of llama.cpp's server."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services import llama
from services.certificates import certificates

from fibonacci.plugin import Completion, Model, ModelRequest
from fibonacci_anthropic import AnthropicModel

from .wire import Wire

KEY = "sk-secret-key-0123456789"

Ask = Callable[[Model, ModelRequest], Completion]


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of one certificate: to read all that a machine trusts costs 34 ms, a client each."""
    return certificates(tmp_path_factory.mktemp("authority")).ca


@pytest.fixture(autouse=True)
def a_bare_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one_authority: Path
) -> None:
    """No key, no address, no profile of whoever runs the tests, and nearly nobody trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))
    for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL", "PROFILE", "IDENTITY_TOKEN"):
        monkeypatch.delenv(f"ANTHROPIC_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A service that says what the test has it say."""
    with Wire() as wire:
        yield wire


@pytest.fixture
def model(wire: Wire) -> AnthropicModel:
    """A model at that service."""
    return AnthropicModel("claude-x", api_key=KEY, base_url=wire.url)


@pytest.fixture(scope="session")
def local_model() -> Iterator[llama.Llama]:
    """A real model at the other end of the wire."""
    with llama.serving() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Asks a model in one mode, and in the other."""
    if request.param == "sync":
        yield lambda model, request: model.complete(request)
    else:
        with asyncio.Runner() as runner:
            yield lambda model, request: runner.run(_awaited(model, request))


async def _awaited(model: Model, request: ModelRequest) -> Completion:
    return await model.acomplete(request)
