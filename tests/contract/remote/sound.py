"""A sound store over TCP, with a pool, written once for sync and async code."""

import pickle
from types import SimpleNamespace
from typing import Any

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import AsyncStore, Backend, hookimpl, read_options
from remote.connections import Awaiting, Blocking
from remote.server import pack


def forwarded(method):
    async def call(self, *args, deadline, **options):
        return await self.request(method, args, options, deadline)

    return call


class RemoteStore(AsyncStore):
    CHANGES = ("write", "compare_and_set", "remove", "write_many", "remove_many", "clear")

    def __init__(self, url, kind):
        self.server = url.hosts[0]
        self.database = url.path
        self.login = SimpleNamespace(password=url.password)
        self.kind = kind
        self.idle = []

    def __repr__(self):
        return f"{type(self).__name__}{self.server}"

    read = forwarded("read")
    write = forwarded("write")
    compare_and_set = forwarded("compare_and_set")
    remove = forwarded("remove")
    remaining_ttl_ms = forwarded("remaining_ttl_ms")
    scan = forwarded("scan")
    read_many = forwarded("read_many")
    write_many = forwarded("write_many")

    async def request(self, method, args, options, deadline):
        connection = None
        try:
            connection = await self.connected(deadline)
            result = await self.exchange(connection, (method, args, options), deadline)
        except OSError as error:
            if connection:
                self.discard(connection)
            cause = type(error).__name__
            return self.fail(cause, method, args, sent=connection is not None)
        except BaseException:
            if connection:
                self.abandon(connection)
            raise
        self.idle.append(connection)
        return result

    def fail(self, cause, method, args, *, sent) -> Any:
        """Raise the error of a request without a reply."""
        if sent and method in self.CHANGES:
            raise OutcomeUnknownError(f"{method} may have been applied ({cause})") from None
        raise BackendUnavailableError(f"{self.server} is unavailable ({cause})") from None

    def discard(self, connection):
        """Close a connection whose request failed."""
        connection.close()

    def abandon(self, connection):
        """Close a connection whose request was cancelled."""
        connection.close()

    async def connected(self, deadline):
        while self.idle:
            connection = self.idle.pop()
            if not connection.is_dead():
                return connection
            connection.close()
        connection = await self.kind.open(self.server, deadline)
        try:
            await self.log_in(connection, deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    async def log_in(self, connection, deadline):
        if not await self.exchange(connection, self.login.password, deadline):
            raise StorageError(f"{self.server} refused the password")

    async def exchange(self, connection, message, deadline):
        await connection.send(pack(message), deadline)
        size = int.from_bytes(await connection.receive_exactly(4, deadline))
        return pickle.loads(await connection.receive_exactly(size, deadline))

    async def close(self):
        while self.idle:
            self.idle.pop().close()


class RemoteBackend(Backend):
    def __init__(self, url, store):
        self.url, self.store = url, store

    def create_store(self):
        return self.store(self.url, Blocking)

    def create_async_store(self):
        return self.store(self.url, Awaiting)


def remote_plugin(store):
    """Return a plugin for ``register_plugin``."""

    @hookimpl
    def fibonacci_storage(settings):
        read_options(settings, {})
        return RemoteBackend(settings.url, store)

    return SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
