"""The service as a scripted fake, and as a real model of llama.cpp's server."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services import llama
from services.certificates import certificates

from fibonacci.plugin import Completion, Model, ModelRequest
from fibonacci_anthropic import AnthropicModel

from .fake_service import FakeService

KEY = "sk-secret-key-0123456789"

Complete = Callable[[Model, ModelRequest], Completion]


@pytest.fixture(scope="session")
def certificate_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of one certificate: to read all of the machine's costs each client 34 ms."""
    return certificates(tmp_path_factory.mktemp("authority")).ca


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate_authority: Path
) -> None:
    """No key, URL or profile of the user who runs the tests, and one trusted certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_authority))
    for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL", "PROFILE", "IDENTITY_TOKEN"):
        monkeypatch.delenv(f"ANTHROPIC_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def service() -> Iterator[FakeService]:
    """A service with scripted replies."""
    with FakeService() as service:
        yield service


@pytest.fixture
def model(service: FakeService) -> AnthropicModel:
    """A model of the scripted service."""
    return AnthropicModel("claude-x", api_key=KEY, base_url=service.url)


@pytest.fixture(scope="session")
def local_model() -> Iterator[llama.Llama]:
    """A real model with llama.cpp's Messages API."""
    with llama.serving() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def complete(request: pytest.FixtureRequest) -> Iterator[Complete]:
    """Calls a model in sync and in async code."""
    if request.param == "sync":
        yield lambda model, request: model.complete(request)
    else:
        with asyncio.Runner() as runner:
            yield lambda model, request: runner.run(_acomplete(model, request))


async def _acomplete(model: Model, request: ModelRequest) -> Completion:
    return await model.acomplete(request)
