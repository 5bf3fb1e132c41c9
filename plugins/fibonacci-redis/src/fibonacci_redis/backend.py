"""The backend: from settings to stores."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fibonacci.plugin import AsyncStore, Backend
from fibonacci.plugin.runtime import TaskWaiter, ThreadWaiter, Waiter
from fibonacci_redis.awaited import AwaitedNode
from fibonacci_redis.batches import Batches
from fibonacci_redis.blocking import BlockingNode
from fibonacci_redis.cluster import Cluster
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.node import Node
from fibonacci_redis.routes import Routes, Standalone
from fibonacci_redis.sentinel import Sentinel
from fibonacci_redis.settings import RedisSettings


class RedisBackend(Backend):
    """Connects stores to the servers of one URL."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    def create_store(self) -> AsyncStore:
        return Batches(self._routes(BlockingNode, ThreadWaiter))

    def create_async_store(self) -> AsyncStore:
        return Batches(self._routes(AwaitedNode, TaskWaiter))

    def _routes(self, make: Callable[[Endpoint], Node], waiter: type[Waiter]) -> Routes:
        settings = self._settings
        if settings.topology == "sentinel":
            primary = Endpoint(tls=settings.tls, login=settings.login, only_primary=True)
            sentinels = self._endpoints(settings.sentinel_login)
            return Sentinel(sentinels, settings.service, primary, settings.nat_map, make, waiter)
        if settings.topology == "cluster":
            return Cluster(self._endpoints(settings.login), settings.nat_map, make, waiter)
        [server] = self._endpoints(settings.login)
        return Standalone(make(attrs.evolve(server, only_primary=True)))

    def _endpoints(self, login: Mapping[str, Any]) -> list[Endpoint]:
        settings = self._settings
        if settings.path is not None:
            return [Endpoint(path=settings.path, login=login)]
        return [Endpoint(host=h, port=p, tls=settings.tls, login=login) for h, p in settings.hosts]
