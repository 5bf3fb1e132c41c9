"""The contract of stores, on every kind of server."""

from typing import Any

import pytest
from modes import mostly, without_network_faults
from services.cluster import Cluster
from services.redis import Secured as SecuredServer
from services.sentinel import Watched
from services.standalone import Redis

from fibonacci.testing import StoreContract
from fibonacci.testing.store.network_secrets import NetworkSecrecyTests


class TestValkey(StoreContract):
    backend = "redis"
    modes = mostly("mixed")

    @pytest.fixture(autouse=True)
    def served(self, valkey_server: Redis) -> None:
        self.url = valkey_server.url


@pytest.mark.long
class TestRedis(StoreContract):
    """Redis 7.0; the class with TLS and few rights, which is below, is in every run."""

    backend = "redis"

    @pytest.fixture(autouse=True)
    def served(self, redis_server: Redis) -> None:
        self.url = redis_server.url


class TestCluster(StoreContract):
    backend = "redis"
    modes = mostly("async", "sync")

    @pytest.fixture(autouse=True)
    def served(self, valkey_cluster: Cluster) -> None:
        self.url = valkey_cluster.url


@pytest.mark.long
class TestSentinel(StoreContract):
    """Failover is in every run: test_sentinel.py."""

    backend = "redis"
    modes = ("sync", "async")

    @pytest.fixture(autouse=True)
    def served(self, valkey_sentinel: Watched) -> None:
        self.url = valkey_sentinel.url


class Secured(StoreContract):
    """TLS with certificates on both sides, and a user without the dangerous commands."""

    backend = "redis"

    @pytest.fixture(autouse=True)
    def served(self, secured: SecuredServer, tls_of: Any) -> None:
        self.url = secured.url
        self.options = tls_of(secured)


class TestSecured(Secured):
    modes = mostly("mixed")


# Only these need a password. TestValkey meets the other faults; with --long this server does, too.
without_network_faults(TestSecured, but=NetworkSecrecyTests)


@pytest.mark.long
class TestSecuredNetwork(Secured):
    """The whole contract, with the network faults."""
