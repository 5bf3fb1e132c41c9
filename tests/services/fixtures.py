"""The farm's servers as pytest fixtures: each starts when a test first requests it.

Those of the whole run are shared: keep to a key prefix or a database of your own, and never stop,
kill or pause them. A test that does, starts its own: `with valkey.standalone() as server:`.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from services import dynamodb, farm, outside, pgbouncer, postgres, redis, valkey
from services.availability import pytest_terminal_summary
from services.cluster import Cluster
from services.databases import Databases, Spares
from services.dynamodb import DynamoDB, Moto
from services.pgbouncer import PgBouncer
from services.proxy import Proxy
from services.redis import Secured
from services.sentinel import Watched
from services.standalone import Redis

__all__ = ["pytest_terminal_summary"]


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Redis]:
    """A Valkey, or the server of FIBONACCI_TEST_REDIS_URL."""
    if given := outside.redis():
        yield given
    else:
        with valkey.standalone() as server:
            yield server


@pytest.fixture(scope="session")
def own_valkey() -> Iterator[Redis]:
    """A Valkey of the farm, always: tests may empty it."""
    with valkey.standalone() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A Redis 7.0: the oldest supported version."""
    with redis.standalone() as server:
        yield server


@pytest.fixture(scope="session", params=["valkey_server", "redis_server"])
def either_server(request: pytest.FixtureRequest) -> Redis:
    """Valkey in one run of the test, Redis 7.0 in another."""
    server: Redis = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[Cluster]:
    """A cluster of three primaries with a replica each."""
    with valkey.cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def valkey_sentinel() -> Iterator[Watched]:
    """A primary and a replica, monitored by three Sentinels."""
    with valkey.sentinel() as watched:
        yield watched


@pytest.fixture(scope="session")
def secured_redis() -> Iterator[Secured]:
    """A Redis 7.0 with mutual TLS, whose user may run nothing dangerous, and only on `t*`."""
    with redis.secured(keys="t*") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Databases]:
    """A PostgreSQL, or the server of FIBONACCI_TEST_POSTGRES_URL."""
    if given := outside.postgres():
        yield given
    else:
        with postgres.standalone() as server:
            yield server


@pytest.fixture(scope="session")
def postgres_spares(postgres_server: Databases) -> Iterator[Databases | Spares]:
    """The pool of empty databases; on a server given by URL, new ones."""
    if outside.postgres():
        yield postgres_server
    else:
        with ExitStack() as made:
            yield Spares(postgres_server, made)


@pytest.fixture
def postgres_url(postgres_spares: Databases | Spares) -> Iterator[str]:
    """The URL of an empty database for only this test."""
    with postgres_spares.database() as url:
        yield url


@pytest.fixture(scope="module")
def postgres_module_url(postgres_server: Databases) -> Iterator[str]:
    """The URL of a database that the tests of one file share."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def shared_pgbouncer() -> Iterator[PgBouncer]:
    """The PgBouncer of all tests: see `pgbouncer_server`."""
    pgbouncer.binary()  # without it no PostgreSQL is started in vain
    with postgres.standalone() as behind, pgbouncer.pooler(behind) as server:
        yield server


@pytest.fixture
def pgbouncer_server(shared_pgbouncer: PgBouncer) -> PgBouncer:
    """A PgBouncer in transaction mode, before its own PostgreSQL: see `pgbouncer_url`."""
    return shared_pgbouncer.ensure_running()


@pytest.fixture
def pgbouncer_url(pgbouncer_server: PgBouncer) -> Iterator[str]:
    """The URL of an empty database behind the pooler, for only this test."""
    with pgbouncer_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Moto]:
    """A DynamoDB simulated by moto, and credentials in the environment if it has none."""
    environment = {} if outside.dynamodb() else dynamodb.CREDENTIALS
    with pytest.MonkeyPatch.context() as patch, dynamodb.moto() as server:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def dynamodb_server(request: pytest.FixtureRequest) -> DynamoDB:
    """A DynamoDB by moto, or the service of FIBONACCI_TEST_DYNAMODB_URL."""
    return outside.dynamodb() or request.getfixturevalue("moto_server")


@pytest.fixture
def valkey_proxy(valkey_server: Redis) -> Iterator[Proxy]:
    """A proxy before `valkey_server`, for only this test."""
    with Proxy(valkey_server) as proxy:
        yield proxy


@pytest.fixture
def postgres_proxy(postgres_server: Databases) -> Iterator[Proxy]:
    """A proxy before `postgres_server`, for only this test."""
    with Proxy(postgres_server) as proxy:
        yield proxy


@pytest.fixture
def moto_proxy(moto_server: Moto) -> Iterator[Proxy]:
    """A proxy before `moto_server`, for only this test."""
    with Proxy(moto_server) as proxy:
        yield proxy


def pytest_unconfigure() -> None:
    """Close the farm."""
    farm.close()
