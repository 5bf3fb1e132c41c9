"""Servers and stores for the tests of this backend."""

from collections.abc import Iterator

import pytest
from services import redis
from services.redis import Secured
from services.standalone import Redis


@pytest.fixture(scope="session")
def secured(redis_server: Redis) -> Iterator[Secured]:
    """A Redis 7.0 with mutual TLS, whose user may do nothing dangerous, to any key.

    It stands on the same executable as ``redis_server``, so where one is missing both are.
    """
    with redis.secured() as server:
        yield server


@pytest.fixture
def secured_options(secured: Secured) -> dict[str, str]:
    """The options that a client of ``secured`` needs."""
    return tls_options(secured)


def tls_options(server: Secured) -> dict[str, str]:
    made = server.certificates
    return {
        "ssl_ca_certs": str(made.ca),
        "ssl_certfile": str(made.client),
        "ssl_keyfile": str(made.client_key),
    }
