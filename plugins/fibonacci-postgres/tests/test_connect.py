"""Connecting: hosts, ports and addresses, and when a connection is reused."""

import random
import socket
from collections.abc import Iterator
from secrets import token_hex
from threading import Event
from typing import Any

import pytest
from services import ports
from services.databases import Databases
from services.proxy import Proxy

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.testing.network import listener
from fibonacci_postgres import pool

from .stores import A, Attempt, OpenStore


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never sends anything."""
    with socket.create_server((ports.LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The resolver's addresses by name; for an event, it waits and then finds none."""
    known: dict[str, Any] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: Any, *rest: Any, **more: Any) -> Any:
        answer = known.get(host, [host])
        if isinstance(answer, Event):
            answer.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [info for name in answer for info in real(name, port, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield known
    for answer in known.values():
        if isinstance(answer, Event):
            answer.set()


def url(server: Databases, hosts: str, query: str = "") -> str:
    """Return the URL of the server's own database at other hosts."""
    database = server.url.partition("?")[0].rpartition("/")[2]
    return f"postgresql://postgres@{hosts}/{database}?{query}"


def test_next_host_is_tried(
    open_store: OpenStore, postgres_server: Databases, silent_port: int
) -> None:
    """A host that refuses, ignores or never answers is skipped, within the deadline."""
    port = postgres_server.port
    with listener.silent_port(ports.LOOPBACK) as ignoring_port:
        for first in (1, silent_port, ignoring_port):
            # The silent host's share of the time is one twentieth.
            hosts = ",".join([f"127.0.0.1:{first}", *[f"127.0.0.1:{port}"] * 19])
            attempt = Attempt(open_store(url(postgres_server, hosts), timeout=6), "write")
            assert attempt.error is None
            assert attempt.seconds < 6


@pytest.mark.parametrize("mode", ["sync", pytest.param("async", marks=pytest.mark.long)])
def test_connect_timeout_limits_each_host(
    open_store: OpenStore, postgres_server: Databases, silent_port: int
) -> None:
    """connect_timeout limits the time for each host."""
    hosts = f"127.0.0.1:{silent_port},127.0.0.1:{postgres_server.port}"
    store = open_store(url(postgres_server, hosts, "connect_timeout=1"), timeout=20)
    attempt = Attempt(store, "write")
    assert attempt.error is None
    assert 1 <= attempt.seconds < 10  # less than its share of the time


def test_load_balance_hosts_shuffles(open_store: OpenStore, postgres_server: Databases) -> None:
    """load_balance_hosts=random tries the hosts in random order, which moves no seeded sequence."""
    before = random.getstate()
    hosts = f"127.0.0.1:1,127.0.0.1:{postgres_server.port}"
    store = open_store(url(postgres_server, hosts, "load_balance_hosts=random"))
    assert Attempt(store, "write").error is None
    assert random.getstate() == before


def test_counts_of_hosts_and_ports_must_match(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of hosts and ports that don't match are rejected, even from the environment."""
    monkeypatch.setenv("PGHOST", "a,b,c")
    monkeypatch.setenv("PGPORT", "1,2")
    attempt = Attempt(open_store("postgresql:///db"), "write")
    assert type(attempt.error) is StorageError
    assert "3 hosts, but 2 of port" in str(attempt.error)


def test_each_address_of_a_name_is_tried(
    open_store: OpenStore, postgres_server: Databases, names: dict[str, Any]
) -> None:
    """Each address of a host name is tried."""
    names["db.example"] = ["127.0.0.2", "127.0.0.1"]
    store = open_store(url(postgres_server, f"db.example:{postgres_server.port}"))
    assert Attempt(store, "write").error is None


def test_slow_resolver_ends_at_the_deadline(open_store: OpenStore, names: dict[str, Any]) -> None:
    """A call whose resolver is slow ends at the deadline."""
    host = f"slow-{token_hex(4)}.example"  # unique: calls join a running look-up
    names[host] = Event()
    attempt = Attempt(open_store(f"postgresql://{host}/db", timeout=0.3), "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "can't resolve the host name" in str(attempt.error)
    assert "timed out" in str(attempt.error)
    assert attempt.seconds < 0.8


def test_unknown_name_is_unavailable(open_store: OpenStore, names: dict[str, Any]) -> None:
    """A host name that can't be resolved is a BackendUnavailableError."""
    names["gone.example"] = Event()
    names["gone.example"].set()
    attempt = Attempt(open_store("postgresql://gone.example/db"), "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "can't resolve" in str(attempt.error)


def test_invalid_name_in_the_environment_is_unavailable(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid host name in PGHOST is a BackendUnavailableError."""
    monkeypatch.setenv("PGHOST", f"{'a' * 70}.example")
    attempt = Attempt(open_store("postgresql:///db"), "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "this is not a host name" in str(attempt.error)


def test_unknown_name_is_skipped(
    open_store: OpenStore, postgres_server: Databases, names: dict[str, Any]
) -> None:
    """A host name that can't be resolved is skipped for the next host."""
    names["gone.example"] = Event()
    names["gone.example"].set()
    hosts = f"gone.example,127.0.0.1:{postgres_server.port}"
    assert Attempt(open_store(url(postgres_server, hosts)), "write").error is None


def test_environment_fills_in_the_url(
    open_store: OpenStore, postgres_server: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the URL leaves out comes from libpq's environment variables."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres_server.port))
    monkeypatch.setenv("PGUSER", "postgres")
    assert Attempt(open_store("postgresql:///postgres"), "write").error is None


def test_missing_socket_is_unavailable(open_store: OpenStore) -> None:
    """A Unix socket that does not exist is a BackendUnavailableError."""
    attempt = Attempt(open_store("postgresql://%2Fnowhere/db"), "write")
    assert type(attempt.error) is BackendUnavailableError


def test_other_protocol_is_an_error(open_store: OpenStore, valkey_server: Any) -> None:
    """A server with another protocol is a StorageError, within the deadline."""
    attempt = Attempt(
        open_store(f"postgresql://127.0.0.1:{valkey_server.port}/db", timeout=0.3), "read"
    )
    assert isinstance(attempt.error, StorageError)
    assert attempt.seconds < 0.8


def test_connection_is_reused(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """Consecutive calls use one connection."""
    store = open_store(postgres_proxy.url)
    with postgres_proxy.record() as traffic:
        for _ in range(20):
            store.write(A, b"1", None)
    assert traffic.connections == 1


def test_idle_connection_is_replaced(
    open_store: OpenStore, postgres_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle for IDLE_TIMEOUT is replaced: a router may have dropped it."""
    monkeypatch.setattr(pool, "IDLE_TIMEOUT", 0.0)
    store = open_store(postgres_proxy.url)
    store.write(A, b"1", None)
    with postgres_proxy.record() as traffic:
        store.write(A, b"1", None)
        assert traffic.connections == 1


@pytest.mark.parametrize("size", [10, 2**24])
def test_large_values(open_store: OpenStore, postgres_url: str, size: int) -> None:
    """Values up to core's size limit can be written and read, singly and in batches."""
    store = open_store(postgres_url, timeout=20)
    value = b"x" * size
    store.write(A, value, None)
    assert store.read(A) == value
    assert store.compare_and_set(A, value, value, None) is True
    store.write_many([(A, value), (A, value)], None)
    assert store.read_many([A, A]) == [value, value]
    unprepared = open_store(postgres_url, timeout=20, prepare=False)
    unprepared.write(A, value, None)
    assert unprepared.read(A) == value
