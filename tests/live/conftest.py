"""Fixtures: each test runs on every available backend, with its own store."""

from pathlib import Path

import pytest
from backends import store

from fibonacci import MemoryConfig


@pytest.fixture
def backend_and_url(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The backend that the test names, and the URL of an empty store."""
    return store(request.param, request, tmp_path)


@pytest.fixture
def config(backend_and_url: tuple[str, str]) -> MemoryConfig:
    """A configuration for that store."""
    name, url = backend_and_url
    return MemoryConfig(backend=name, connection_url=url, timeout=20)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the backends of its module's ``ON``."""
    if "backend_and_url" in metafunc.fixturenames:
        metafunc.parametrize("backend_and_url", vars(metafunc.module)["ON"], indirect=True)
