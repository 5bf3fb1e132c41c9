"""Host names: resolved within the deadline, each of their addresses tried."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
from services.standalone import Redis
from services.tls import TLSTerminator

from fibonacci import BackendUnavailableError, StorageError
from fibonacci.plugin import Address

TIMEOUT = 0.3
GRACE = 0.5

URLS = [
    "redis://{host}",
    "rediss://{host}",
    "redis+cluster://{host}:1,{host}:2",
    "redis+sentinel://{host}:1,{host}:2/main",
]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """The addresses of names; resolving a name that ends in ``hanging`` ends with the test."""
    known: dict[str, list[str]] = {}
    real, done = socket.getaddrinfo, threading.Event()

    def getaddrinfo(host: str, port: Any, *rest: Any, **more: Any) -> Any:
        if host.endswith(".hanging"):
            done.wait(5)
        return [
            info
            for address in known.get(host, [host])
            for info in real(address, port, *rest, **more)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield known
    done.set()


@pytest.fixture
def hanging(names: dict[str, list[str]]) -> str:
    """A host that can't be resolved in time; new in each test, as callers share a resolution."""
    return f"{token_hex(4)}.hanging"


@pytest.fixture
def full(valkey_server: Redis) -> Iterator[str]:
    """An address with the server's port that accepts no connection: its queue is full."""
    address = "127.0.0.2"
    with socket.create_server((address, valkey_server.port), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield address
        for client in waiting:
            client.close()


@pytest.mark.parametrize("url", URLS)
def test_slow_resolver_holds_no_caller(
    url: str, open_client: Any, address: Address, hanging: str
) -> None:
    """A host name that can't be resolved in time holds no caller beyond its deadline (C18)."""
    client = open_client(url.format(host=hanging))
    assert client.store  # created before the call is timed: certificates take a while to load
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError, match="timed out"):
        client("read", address, timeout=TIMEOUT)
    assert time.monotonic() - start < TIMEOUT + GRACE


@pytest.mark.parametrize("mode", ["async"])
def test_slow_resolver_does_not_block_the_loop(
    open_client: Any, address: Address, hanging: str
) -> None:
    """The event loop runs while a host name is resolved, and can be closed meanwhile (C18)."""
    client = open_client(f"redis://{hanging}")
    ticks = 0

    async def reading() -> None:
        nonlocal ticks
        store = client.backend.create_async_store()
        read = asyncio.ensure_future(store.read(address, deadline=time.monotonic() + TIMEOUT))
        while not read.done():
            ticks += 1
            await asyncio.sleep(0.01)
        with pytest.raises(BackendUnavailableError):
            await read

    start = time.monotonic()
    asyncio.run(reading())
    assert time.monotonic() - start < TIMEOUT + GRACE
    assert ticks > 5


def test_unknown_host_name_is_reported(
    open_client: Any, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for an unknown host name contains the resolver's reason (C18)."""

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(BackendUnavailableError, match="Name or service not known"):
        open_client("redis://gone.example")("read", address)


def test_second_address_is_tried(
    open_client: Any, address: Address, valkey_server: Redis, names: dict[str, list[str]]
) -> None:
    """The second address of a host is tried if the first refuses (C18)."""
    names["two.example"] = ["127.0.0.2", "127.0.0.1"]
    client = open_client(f"redis://two.example:{valkey_server.port}")
    assert client("read", address, timeout=1.0) is None


def test_silent_address_takes_its_share(
    full: str, open_client: Any, address: Address, valkey_server: Redis, names: dict[str, list[str]]
) -> None:
    """An address that does not respond takes only its share of the time (C18)."""
    names["two.example"] = [full, "127.0.0.1"]
    client = open_client(f"redis://two.example:{valkey_server.port}")
    assert client("read", address, timeout=2.0) is None


def test_silent_addresses_share_the_deadline(
    full: str, open_client: Any, address: Address, valkey_server: Redis, names: dict[str, list[str]]
) -> None:
    """Several addresses that do not respond take no longer than the deadline (C18)."""
    names["two.example"] = [full, full, full]
    client, start = open_client(f"redis://two.example:{valkey_server.port}"), time.monotonic()
    with pytest.raises(BackendUnavailableError, match="timed out"):
        client("read", address, timeout=TIMEOUT)
    assert time.monotonic() - start < TIMEOUT + GRACE


def test_certificate_is_checked_for_the_host_name(
    open_client: Any,
    address: Address,
    valkey_tls: TLSTerminator,
    tls_of: Any,
    names: dict[str, list[str]],
) -> None:
    """TLS compares the certificate with the host name in the URL, not with its address."""
    names["other.example"] = names["localhost"] = ["127.0.0.1"]
    options = tls_of(valkey_tls)
    client = open_client(f"rediss://localhost:{valkey_tls.port}", **options)
    assert client("read", address) is None
    client = open_client(f"rediss://other.example:{valkey_tls.port}", **options)
    with pytest.raises(StorageError, match="certificate"):
        client("read", address)
