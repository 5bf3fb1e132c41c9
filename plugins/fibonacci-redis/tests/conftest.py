"""Servers and stores for the tests of this backend."""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import attrs
import pytest
from services import redis, valkey
from services.cluster import Cluster
from services.redis import Secured
from services.standalone import Redis
from services.tls import TLSTerminator

from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, run_sync
from fibonacci_redis import fibonacci_storage

SPACE = Space("t:", "workflow", "w")


@pytest.fixture(scope="session")
def secured() -> Iterator[Secured]:
    """A Redis 7.0 with mutual TLS, whose user may do nothing dangerous, to any key."""
    with redis.secured() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_tls(
    tmp_path_factory: pytest.TempPathFactory, valkey_server: Redis
) -> Iterator[TLSTerminator]:
    """``valkey_server``, behind mutual TLS."""
    folder = tmp_path_factory.mktemp("tls")
    with TLSTerminator(folder, valkey_server, mutual=True) as terminator:
        terminator.url = terminator.url.replace("redis:", "rediss:")
        yield terminator


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster whose slots and settings tests may change."""
    with valkey.cluster() as own:
        yield own


@pytest.fixture
def tls_of() -> Callable[[Secured | TLSTerminator], dict[str, str]]:
    """The options that a client of a server with TLS needs."""

    def tls_options(server: Secured | TLSTerminator) -> dict[str, str]:
        made = server.certificates
        return {
            "ssl_ca_certs": str(made.ca),
            "ssl_certfile": str(made.client),
            "ssl_keyfile": str(made.client_key),
        }

    return tls_options


@attrs.define
class StoreClient:
    """A store, asked in one mode: ``store("read", address)`` with a deadline from now."""

    backend: Any
    mode: str
    timeout: float = 5.0
    runner: asyncio.Runner = attrs.field(factory=asyncio.Runner)
    _store: Any = None

    @property
    def store(self) -> Any:
        """The store itself."""
        if self._store is None:
            if self.mode == "sync":
                self._store = self.backend.create_store()
            else:
                self._store = self.runner.run(self._aconnect())
        return self._store

    def __call__(self, method: str, *args: Any, timeout: float | None = None, **named: Any) -> Any:
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        call = getattr(self.store, method)
        if self.mode == "sync":
            return run_sync(call(*args, deadline=deadline, **named))
        return self.runner.run(call(*args, deadline=deadline, **named))

    def keys(self, space: Space = SPACE, **named: Any) -> list[str]:
        """All keys of a space."""
        page = self("scan", space, **named)
        found = list(page.keys)
        while page.cursor is not None:
            page = self("scan", space, cursor=page.cursor, **named)
            found += page.keys
        return found

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

    async def _aconnect(self) -> Any:
        return self.backend.create_async_store()


ClientOpener = Callable[..., StoreClient]


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """The mode that a test speaks in."""
    return str(request.param)


@pytest.fixture
def open_client(mode: str) -> Iterator[ClientOpener]:
    """What opens stores, in the test's mode unless it says another one."""
    opened: list[StoreClient] = []

    def open_client(
        url: str, *, timeout: float = 5.0, mode: str = mode, **options: Any
    ) -> StoreClient:
        settings = StoreSettings(url=StoreURL.parse(url), options=options, timeout=timeout)
        opened.append(StoreClient(fibonacci_storage(settings), mode, timeout))
        return opened[-1]

    yield open_client
    for one in opened:
        one.close()


@pytest.fixture
def address() -> Address:
    """The address of a record."""
    return Address(SPACE, "k")


@pytest.fixture
def space_keys() -> Space:
    """A space."""
    return SPACE
