"""Hosts that are given by name: looked up within the deadline, each of their addresses tried."""

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
    """The addresses of names; a look-up of one that ends in ``hanging`` ends with the test."""
    known: dict[str, list[str]] = {}
    real, over = socket.getaddrinfo, threading.Event()

    def look_up(host: str, port: Any, *rest: Any, **more: Any) -> Any:
        if host.endswith(".hanging"):
            over.wait(5)
        return [one for each in known.get(host, [host]) for one in real(each, port, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield known
    over.set()


@pytest.fixture
def hanging(names: dict[str, list[str]]) -> str:
    """A host whose look-up hangs; another one in each test, as callers join a look-up that runs."""
    return f"{token_hex(4)}.hanging"


@pytest.fixture
def full(valkey_server: Redis) -> Iterator[str]:
    """An address that has the server's port, and answers to nobody: its queue is full."""
    address = "127.0.0.2"
    with socket.create_server((address, valkey_server.port), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield address
        for one in waiting:
            one.close()


@pytest.mark.parametrize("url", URLS)
def test_hanging_look_up(url: str, open_client: Any, address: Address, hanging: str) -> None:
    """A look-up that hangs holds nobody beyond the deadline, and nothing was sent (C18)."""
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError, match="timed out"):
        open_client(url.format(host=hanging))("read", address, timeout=TIMEOUT)
    assert time.monotonic() - start < TIMEOUT + GRACE


@pytest.mark.parametrize("mode", ["async"])
def test_event_loop_goes_on(open_client: Any, address: Address, hanging: str) -> None:
    """An event loop goes on while a look-up hangs, and can be closed before that ends (C18)."""
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


def test_unknown_name(open_client: Any, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody knows is message, with the resolver's reason (C18)."""

    def look_up(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "nobody of that name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(BackendUnavailableError, match="nobody of that name"):
        open_client("redis://gone.example")("read", address)


def test_second_address(
    open_client: Any, address: Address, valkey_server: Redis, names: dict[str, list[str]]
) -> None:
    """An address that refuses is passed over for the next one of the same host (C18)."""
    names["two.example"] = ["127.0.0.2", "127.0.0.1"]
    client = open_client(f"redis://two.example:{valkey_server.port}")
    assert client("read", address, timeout=1.0) is None


def test_silent_address(
    full: str, open_client: Any, address: Address, valkey_server: Redis, names: dict[str, list[str]]
) -> None:
    """An address that never answers takes its share of the time, and leaves the rest (C18)."""
    names["two.example"] = [full, "127.0.0.1"]
    client = open_client(f"redis://two.example:{valkey_server.port}")
    assert client("read", address, timeout=2.0) is None


def test_no_time_for_the_second_address(
    full: str, open_client: Any, address: Address, valkey_server: Redis, names: dict[str, list[str]]
) -> None:
    """Several addresses that never answer take no longer than the deadline together (C18)."""
    names["two.example"] = [full, full, full]
    client, start = open_client(f"redis://two.example:{valkey_server.port}"), time.monotonic()
    with pytest.raises(BackendUnavailableError, match="timed out"):
        client("read", address, timeout=TIMEOUT)
    assert time.monotonic() - start < TIMEOUT + GRACE


def test_certificate_is_for_the_name(
    open_client: Any,
    address: Address,
    valkey_tls: TLSTerminator,
    tls_of: Any,
    names: dict[str, list[str]],
) -> None:
    """TLS compares the certificate with the name in the URL, not with the address it led to."""
    names["other.example"] = names["localhost"] = ["127.0.0.1"]
    options = tls_of(valkey_tls)
    client = open_client(f"rediss://localhost:{valkey_tls.port}", **options)
    assert client("read", address) is None
    client = open_client(f"rediss://other.example:{valkey_tls.port}", **options)
    with pytest.raises(StorageError, match="certificate"):
        client("read", address)
