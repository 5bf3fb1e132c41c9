"""The backend: from settings to stores."""

from fibonacci.plugin import Backend, Store
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
        [(host, port)] = self._settings.hosts
        endpoint = Endpoint(host=host, port=port, login=self._settings.login, tls=self._settings.tls)
        return RedisStore(Standalone(BlockingNode(endpoint)))
