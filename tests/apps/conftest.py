"""Fixtures: the example's app with a Valkey as its memory, and two users."""

from collections.abc import Iterator

import httpx
import pytest
from services.proxy import Proxy
from services.standalone import Redis

from .server import App, headers, serving


@pytest.fixture(scope="session")
def proxy(valkey_server: Redis) -> Iterator[Proxy]:
    """A proxy between the app and its Valkey."""
    with Proxy(valkey_server) as between:
        yield between


@pytest.fixture(scope="session")
def app(proxy: Proxy) -> Iterator[App]:
    """The app in one process."""
    with serving(proxy.url) as server:
        yield server


@pytest.fixture(scope="session")
def two_workers(valkey_server: Redis) -> Iterator[App]:
    """The app in two worker processes on one port."""
    with serving(valkey_server.url, workers=2) as server:
        yield server


def talking(app: App, user: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, headers=headers(user), timeout=20, verify=False) as client:
        client.delete("/history").raise_for_status()
        yield client


@pytest.fixture
def ada(app: App) -> Iterator[httpx.Client]:
    """A user of whom nothing is remembered."""
    yield from talking(app, "user-2")


@pytest.fixture
def bob(app: App) -> Iterator[httpx.Client]:
    """A second user."""
    yield from talking(app, "user-3")
