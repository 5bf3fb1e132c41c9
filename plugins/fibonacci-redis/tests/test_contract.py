"""The contract of stores, on every kind of server."""

import pytest
from services.cluster import Cluster
from services.redis import Secured
from services.sentinel import Watched
from services.standalone import Redis

from fibonacci.testing import StoreContract


class TestValkey(StoreContract):
    backend = "redis"

    @pytest.fixture(autouse=True)
    def served(self, valkey_server: Redis) -> None:
        self.url = valkey_server.url


class TestRedis(StoreContract):
    backend = "redis"

    @pytest.fixture(autouse=True)
    def served(self, redis_server: Redis) -> None:
        self.url = redis_server.url


class TestCluster(StoreContract):
    backend = "redis"
    voices = ("sync", "async")

    @pytest.fixture(autouse=True)
    def served(self, valkey_cluster: Cluster) -> None:
        self.url = valkey_cluster.url


class TestSentinel(StoreContract):
    backend = "redis"
    voices = ("sync", "async")

    @pytest.fixture(autouse=True)
    def served(self, valkey_sentinel: Watched) -> None:
        self.url = valkey_sentinel.url


class TestSecured(StoreContract):
    """TLS with certificates on both sides, and a user without the dangerous commands."""

    backend = "redis"
    voices = ("sync", "async")

    @pytest.fixture(autouse=True)
    def served(self, secured: Secured, secured_options: dict[str, str]) -> None:
        self.url = secured.url
        self.options = secured_options
