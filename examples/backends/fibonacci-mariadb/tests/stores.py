"""The store itself, called by sync or async code."""

import asyncio
from time import monotonic

from fibonacci.plugin import StoreSettings, StoreURL, run_sync
from fibonacci_mariadb import MariadbBackend, fibonacci_storage


def backend(url, **options):
    settings = StoreSettings(url=StoreURL.parse(url), options=options)
    created = fibonacci_storage(settings)
    assert isinstance(created, MariadbBackend)
    return created


class SyncStore:
    """Calls the blocking store."""

    def __init__(self, url, **options):
        self.store = backend(url, **options).create_store()

    def __call__(self, method, *arguments, **options):
        return self.run(self.start(method, *arguments, **options))

    def start(self, method, *arguments, seconds=10.0, **options):
        deadline = monotonic() + seconds
        return getattr(self.store, method)(*arguments, deadline=deadline, **options)

    def run(self, coroutine):
        return run_sync(coroutine)

    def close(self):
        self.run(self.store.close())


class AsyncStore(SyncStore):
    """Calls the store of one event loop."""

    def __init__(self, url, **options):
        self.runner = asyncio.Runner()
        self.store = backend(url, **options).create_async_store()

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def close(self):
        super().close()
        self.runner.run(asyncio.sleep(0))  # the loop closes the sockets
        self.runner.close()
