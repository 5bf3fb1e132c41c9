"""Servers and store clients for the tests of this backend."""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import attrs
import pytest
from services import redis, valkey
from services.cluster import Cluster
from services.redis import Secured
from services.sentinel import Watched
from services.standalone import Redis
from services.tls import TLSTerminator

from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, run_sync
from fibonacci_redis import fibonacci_storage

SPACE = Space("t:", "workflow", "w")


@pytest.fixture(scope="session")
def secured() -> Iterator[Secured]:
    """A Redis 7.0 with mutual TLS, whose user may run no dangerous command."""
    with redis.secured() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_tls(
    tmp_path_factory: pytest.TempPathFactory, valkey_server: Redis
) -> Iterator[TLSTerminator]:
    """A proxy with mutual TLS to ``valkey_server``."""
    folder = tmp_path_factory.mktemp("tls")
    with TLSTerminator(folder, valkey_server, mutual=True) as terminator:
        terminator.url = terminator.url.replace("redis:", "rediss:")
        yield terminator


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster whose slots and settings tests may change."""
    with valkey.cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """A primary, a replica and their sentinels, which a module's tests may fail over."""
    with valkey.sentinel() as watched:
        yield watched


@pytest.fixture
def tls_of() -> Callable[[Secured | TLSTerminator], dict[str, str]]:
    """The options that a client of a server with TLS needs."""

    def tls_options(server: Secured | TLSTerminator) -> dict[str, str]:
        files = server.certificates
        return {
            "ssl_ca_certs": str(files.ca),
            "ssl_certfile": str(files.client),
            "ssl_keyfile": str(files.client_key),
        }

    return tls_options


@attrs.define
class StoreClient:
    """A sync or async store, called as ``client("read", address)`` with a deadline from now."""

    backend: Any
    mode: str
    timeout: float = 5.0
    runner: asyncio.Runner = attrs.field(factory=asyncio.Runner)
    _store: Any = None

    @property
    def store(self) -> Any:
        """The store; created at the first use."""
        if self._store is None:
            if self.mode == "sync":
                self._store = self.backend.create_store()
            else:
                self._store = self.runner.run(self._create_async_store())
        return self._store

    def __call__(self, method: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        call = getattr(self.store, method)
        if self.mode == "sync":
            return run_sync(call(*args, deadline=deadline, **kwargs))
        return self.runner.run(call(*args, deadline=deadline, **kwargs))

    def keys(self, space: Space = SPACE, **kwargs: Any) -> list[str]:
        """Return all keys of a space."""
        page = self("scan", space, **kwargs)
        keys = list(page.keys)
        while page.cursor is not None:
            page = self("scan", space, cursor=page.cursor, **kwargs)
            keys += page.keys
        return keys

    def clear(self, space: Space = SPACE) -> None:
        """Clear a space, step by step."""
        cursor = self("clear", space)
        while cursor is not None:
            cursor = self("clear", space, cursor=cursor)

    def close(self) -> None:
        """Close the store and the loop."""
        if self._store is not None:
            closed = self._store.close()
            if self.mode == "async":
                self.runner.run(closed)
            else:
                run_sync(closed)
        self.runner.close()

    async def _create_async_store(self) -> Any:
        return self.backend.create_async_store()


ClientOpener = Callable[..., StoreClient]


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Whether the test uses sync or async code."""
    return str(request.param)


@pytest.fixture
def open_client(mode: str) -> Iterator[ClientOpener]:
    """A function that opens store clients, in the test's mode by default."""
    opened: list[StoreClient] = []

    def open_client(
        url: str, *, timeout: float = 5.0, mode: str = mode, **options: Any
    ) -> StoreClient:
        settings = StoreSettings(url=StoreURL.parse(url), options=options, timeout=timeout)
        opened.append(StoreClient(fibonacci_storage(settings), mode, timeout))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def address() -> Address:
    """The address of a record."""
    return Address(SPACE, "k")


@pytest.fixture
def space() -> Space:
    """A space."""
    return SPACE
