"""The contract of stores, on every kind of server."""

import pytest
from services.cluster import Cluster
from services.redis import Secured
from services.sentinel import Watched
from services.standalone import Redis

from fibonacci.testing import StoreContract


@pytest.mark.usefixtures("valkey_server")
class TestValkey(StoreContract):
    backend = "redis"

    @pytest.fixture
    def url(self, valkey_server: Redis) -> str:
        return valkey_server.url


@pytest.mark.usefixtures("redis_server")
class TestRedis(StoreContract):
    backend = "redis"

    @pytest.fixture
    def url(self, redis_server: Redis) -> str:
        return redis_server.url


@pytest.mark.usefixtures("valkey_cluster")
class TestCluster(StoreContract):
    backend = "redis"
    voices = ("sync", "async")

    @pytest.fixture
    def url(self, valkey_cluster: Cluster) -> str:
        return valkey_cluster.url


@pytest.mark.usefixtures("valkey_sentinel")
class TestSentinel(StoreContract):
    backend = "redis"
    voices = ("sync", "async")

    @pytest.fixture
    def url(self, valkey_sentinel: Watched) -> str:
        return valkey_sentinel.url


@pytest.mark.usefixtures("redis_server")
class TestSecured(StoreContract):
    """TLS with certificates on both sides, and a user without the dangerous commands."""

    backend = "redis"
    voices = ("sync", "async")

    @pytest.fixture
    def url(self, secured: Secured) -> str:
        return secured.url

    @pytest.fixture(autouse=True)
    def certified(self, secured_options: dict[str, str]) -> None:
        self.options = secured_options
