"""The example's app, served by uvicorn as in production."""

import json
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from inspect import signature
from pathlib import Path

import pytest
import uvicorn
from services import farm, ports
from services.process import Process
from services.server import Server

TOKENS = {f"token-of-user-{number}": f"user-{number}" for number in range(60)}
"""The users, by token."""

COMPLAINT = re.compile("Warning: (?!Enable)|never (retrieved|awaited|closed)|was destroyed|ASGI")


def headers(user: str) -> dict[str, str]:
    """Return the headers that authenticate a request as this user's."""
    return {"Authorization": f"Bearer token-of-{user}"}


class App(Server):
    """A server process, or a parent with several workers."""

    def __init__(self, workers: int) -> None:
        port = ports.claim()
        command = [sys.executable, "-W", "default", "-m", "uvicorn", "served:app"]
        command += ["--no-access-log"]
        command += ["--app-dir", str(Path(__file__).parent), "--port", str(port)]
        command += ["--workers", str(workers), "--timeout-graceful-shutdown", "2"]
        # A request fails if its idle connection is closed just then, so none is closed.
        command += ["--timeout-keep-alive", "600"]
        # Workers that do not respond to a health check for five seconds are killed, with their
        # requests; on a busy machine that may happen to all.
        if "timeout_worker_healthcheck" in signature(uvicorn.Config).parameters:
            command += ["--timeout-worker-healthcheck", "600"]
        folder = farm.ground().folder("uvicorn")
        super().__init__(Process(command, folder), port, f"http://{ports.LOOPBACK}:{port}")

    def is_ready(self) -> bool:
        """Say whether it accepts requests."""
        with closing(HTTPConnection(self.host, self.port, timeout=2)) as connection:
            try:
                connection.request("GET", "/health")
                return connection.getresponse().status == HTTPStatus.OK
            except (OSError, HTTPException):
                return False

    def complaints(self) -> list[str]:
        """Return the resource warnings of Python and asyncio in its log.

        The parent of several workers ends without closing the socket that it listens on.
        """
        uvicorns = f"laddr=('{self.host}', {self.port})>"
        log = (self._process.folder / "log").read_text().splitlines()
        return [line for line in log if COMPLAINT.search(line) and uvicorns not in line]


@contextmanager
def serving(
    url: str, workers: int = 1, model: str = "slow", tokens: dict[str, str] = TOKENS
) -> Iterator[App]:
    """Start the app with this store, empty."""
    environment = {
        "FIBONACCI_MEMORY_BACKEND": "redis",
        "FIBONACCI_MEMORY_CONNECTION_URL": url,
        "FIBONACCI_MEMORY_KEY_PREFIX": f"apps-{secrets.token_hex(4)}:",
        "FIBONACCI_MEMORY_TIMEOUT": "3",
        "CHAT_MODEL": model,
        "CHAT_TOKENS": json.dumps(tokens),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with App(workers) as app:
            yield app
    if complaints := app.complaints():
        pytest.fail("\n".join(complaints))
