"""The example's app, served by uvicorn as people serve it, with a Valkey for its memory."""

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from services import farm, ports
from services.process import Process
from services.proxy import Proxy
from services.server import Server
from services.standalone import Redis

TOKENS = {f"token-of-{number}": f"user-{number}" for number in range(50)}
"""Who may talk."""


class App(Server):
    """A server process, or as many as are asked for."""

    def __init__(self, workers: int) -> None:
        port = ports.claim()
        command = [sys.executable, "-m", "uvicorn", "served:app", "--no-access-log"]
        command += ["--app-dir", str(Path(__file__).parent), "--port", str(port)]
        command += ["--workers", str(workers), "--timeout-graceful-shutdown", "2"]
        folder = farm.ground().folder("uvicorn")
        super().__init__(Process(command, folder), port, f"http://{ports.LOOPBACK}:{port}")

    def answers(self) -> bool:
        """Whether it has begun to serve."""
        try:
            return httpx.get(f"{self.url}/health", timeout=2).is_success
        except httpx.TransportError:
            return False

    def log(self) -> str:
        """The end of what it wrote."""
        return self._process.log()


def serving(url: str, workers: int = 1) -> Iterator[App]:
    """The app with this store, and nothing in it."""
    environment = {
        "FIBONACCI_MEMORY_BACKEND": "redis",
        "FIBONACCI_MEMORY_CONNECTION_URL": url,
        "FIBONACCI_MEMORY_KEY_PREFIX": f"apps-{secrets.token_hex(4)}:",
        "FIBONACCI_MEMORY_TIMEOUT": "2",
        "CHAT_MODEL": "slow",
        "CHAT_TOKENS": json.dumps(TOKENS),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with App(workers) as app:
            yield app


@pytest.fixture(scope="module")
def proxy(valkey_server: Redis) -> Iterator[Proxy]:
    """What stands between the app and its Valkey."""
    with Proxy(valkey_server) as between:
        yield between


@pytest.fixture(scope="module")
def app(proxy: Proxy) -> Iterator[App]:
    """The app in one process."""
    yield from serving(proxy.url)


@pytest.fixture(scope="module")
def two_workers(valkey_server: Redis) -> Iterator[App]:
    """The app in two processes behind one port."""
    yield from serving(valkey_server.url, workers=2)


@pytest.fixture
def ada(app: App) -> Iterator[httpx.Client]:
    """The first user, of whom nothing is remembered."""
    headers = {"Authorization": "Bearer token-of-0"}
    with httpx.Client(base_url=app.url, headers=headers, timeout=20) as client:
        client.delete("/history").raise_for_status()
        yield client
