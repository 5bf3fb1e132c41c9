"""The backend: creates stores from the settings."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fibonacci.plugin import AsyncStore, Backend
from fibonacci.plugin.runtime import TaskWaiter, ThreadWaiter, Waiter
from fibonacci_redis.async_node import AsyncNode
from fibonacci_redis.blocking_node import BlockingNode
from fibonacci_redis.cluster import Cluster
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.sentinel import Sentinel
from fibonacci_redis.settings import RedisSettings
from fibonacci_redis.store import RedisStore
from fibonacci_redis.topology import Node, Standalone, Topology


class RedisBackend(Backend):
    """Creates stores on the servers of one URL."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    def create_store(self) -> AsyncStore:
        return RedisStore(self._create_topology(BlockingNode, ThreadWaiter))

    def create_async_store(self) -> AsyncStore:
        return RedisStore(self._create_topology(AsyncNode, TaskWaiter))

    def _create_topology(
        self, create_node: Callable[[Endpoint], Node], waiter: type[Waiter]
    ) -> Topology:
        settings = self._settings
        nat_map = settings.nat_map
        if settings.topology == "sentinel":
            primary = Endpoint(tls=settings.tls, login=settings.login, primary_only=True)
            sentinels = self._endpoints(settings.sentinel_login)
            return Sentinel(sentinels, settings.service, primary, nat_map, create_node, waiter)
        if settings.topology == "cluster":
            return Cluster(self._endpoints(settings.login), nat_map, create_node, waiter)
        [server] = self._endpoints(settings.login)
        return Standalone(create_node(attrs.evolve(server, primary_only=True)))

    def _endpoints(self, login: Mapping[str, Any]) -> list[Endpoint]:
        settings = self._settings
        if settings.path is not None:
            return [Endpoint(path=settings.path, login=login)]
        return [
            Endpoint(host=host, port=port, tls=settings.tls, login=login)
            for host, port in settings.hosts
        ]
