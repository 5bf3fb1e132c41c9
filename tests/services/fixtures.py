"""The farm's servers as pytest fixtures: each starts when the first test asks for it."""

from collections.abc import Iterator

import pytest

from services import farm, postgres, valkey
from services.postgres import Postgres
from services.proxy import Proxy
from services.standalone import Standalone


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Standalone]:
    """A Valkey that all tests share: keep to a key prefix of your own, and never stop it."""
    with valkey.standalone() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL that all tests share: see `postgres_url`, and never stop it."""
    with postgres.standalone() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty database, of this test alone."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def valkey_proxy(valkey_server: Standalone) -> Iterator[Proxy]:
    """A proxy in front of `valkey_server`."""
    with Proxy(valkey_server) as proxy:
        yield proxy


@pytest.fixture
def postgres_proxy(postgres_server: Postgres) -> Iterator[Proxy]:
    """A proxy in front of `postgres_server`."""
    with Proxy(postgres_server) as proxy:
        yield proxy


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    farm.close()
