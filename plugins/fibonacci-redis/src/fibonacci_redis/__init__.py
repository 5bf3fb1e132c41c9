"""The ``redis`` backend: Redis and Valkey, standalone, Cluster and Sentinel, sync and async."""

from typing import Final

from fibonacci.plugin import Backend, StoreSettings, hookimpl
from fibonacci.plugin.runtime import require_poll

FIBONACCI_SPEC_VERSION: Final = 1


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for a URL such as ``redis://host:port/db``; see the README for more."""
    require_poll("backend 'redis'")
    from fibonacci_redis.backend import RedisBackend  # it can't be imported without
    from fibonacci_redis.settings import read_settings

    return RedisBackend(read_settings(settings))
