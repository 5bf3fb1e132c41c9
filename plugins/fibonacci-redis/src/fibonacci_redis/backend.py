"""The backend: from settings to stores."""

from fibonacci.plugin import AsyncStore, Backend, Store
from fibonacci_redis.awaited import AwaitedNode
from fibonacci_redis.batches import Batches
from fibonacci_redis.blocking import BlockingNode
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.routes import Standalone
from fibonacci_redis.settings import RedisSettings
from fibonacci_redis.stores import RedisStore


class RedisBackend(Backend):
    """Connects stores to the servers of one URL."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    def connect(self) -> Store:
        return RedisStore(Standalone(BlockingNode(self._endpoint())))

    def aconnect(self) -> AsyncStore:
        return Batches(Standalone(AwaitedNode(self._endpoint())))

    def _endpoint(self) -> Endpoint:
        [(host, port)] = self._settings.hosts
        return Endpoint(host=host, port=port, login=self._settings.login, tls=self._settings.tls)
