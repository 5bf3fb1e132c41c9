"""Connections: where to, by which address, and when one is used again."""

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
from fibonacci_postgres import pool

from .stores import A, Attempt, OpenStore


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken, and nothing is said."""
    with socket.create_server((ports.LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the resolver answers, by name; an event is what it waits for, before it knows none."""
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
    """The URL of the server's own database at other hosts."""
    database = server.url.partition("?")[0].rpartition("/")[2]
    return f"postgresql://postgres@{hosts}/{database}?{query}"


def test_second_host(open_store: OpenStore, postgres_server: Databases, silent: int) -> None:
    """A host that refuses or keeps silent is passed over for the next, within the deadline."""
    port = postgres_server.port
    for first in (1, silent):
        # The silent one has its share of the time: one of twenty.
        hosts = ",".join([f"127.0.0.1:{first}", *[f"127.0.0.1:{port}"] * 19])
        attempt = Attempt(open_store(url(postgres_server, hosts), timeout=6), "write")
        assert attempt.error is None
        assert attempt.seconds < 6


@pytest.mark.parametrize("mode", ["sync", pytest.param("async", marks=pytest.mark.long)])
def test_connect_timeout(open_store: OpenStore, postgres_server: Databases, silent: int) -> None:
    """connect_timeout says how long each host may take."""
    hosts = f"127.0.0.1:{silent},127.0.0.1:{postgres_server.port}"
    store = open_store(url(postgres_server, hosts, "connect_timeout=1"), timeout=20)
    attempt = Attempt(store, "write")
    assert attempt.error is None
    assert 1 <= attempt.seconds < 10  # its share of the time


def test_balanced(open_store: OpenStore, postgres_server: Databases) -> None:
    """load_balance_hosts=random tries them in any order."""
    hosts = f"127.0.0.1:1,127.0.0.1:{postgres_server.port}"
    store = open_store(url(postgres_server, hosts, "load_balance_hosts=random"))
    assert Attempt(store, "write").error is None


def test_hosts_and_ports(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of hosts and ports that do not fit are refused, from the environment as well."""
    monkeypatch.setenv("PGHOST", "a,b,c")
    monkeypatch.setenv("PGPORT", "1,2")
    attempt = Attempt(open_store("postgresql:///db"), "write")
    assert type(attempt.error) is StorageError
    assert "3 hosts, but 2 of port" in str(attempt.error)


def test_name(open_store: OpenStore, postgres_server: Databases, names: dict[str, Any]) -> None:
    """A name is looked up, and each of its addresses is tried."""
    names["db.example"] = ["127.0.0.2", "127.0.0.1"]
    store = open_store(url(postgres_server, f"db.example:{postgres_server.port}"))
    assert Attempt(store, "write").error is None


def test_slow_name(open_store: OpenStore, names: dict[str, Any]) -> None:
    """A resolver that takes its time does not outlast the deadline."""
    host = f"slow-{token_hex(4)}.example"  # of this test alone: callers join a look-up that runs
    names[host] = Event()
    attempt = Attempt(open_store(f"postgresql://{host}/db", timeout=0.3), "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "timed out" in str(attempt.error)
    assert attempt.seconds < 0.8


def test_unknown_name(open_store: OpenStore, names: dict[str, Any]) -> None:
    """A name that nobody knows is told."""
    names["gone.example"] = Event()
    names["gone.example"].set()
    attempt = Attempt(open_store("postgresql://gone.example/db"), "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "can't resolve" in str(attempt.error)


def test_no_name(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one that can be nobody's, and that the environment has."""
    monkeypatch.setenv("PGHOST", f"{'a' * 70}.example")
    attempt = Attempt(open_store("postgresql:///db"), "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "no host's name" in str(attempt.error)


def test_one_name_of_two(
    open_store: OpenStore, postgres_server: Databases, names: dict[str, Any]
) -> None:
    """One of several names that can't be looked up is passed over."""
    names["gone.example"] = Event()
    names["gone.example"].set()
    hosts = f"gone.example,127.0.0.1:{postgres_server.port}"
    assert Attempt(open_store(url(postgres_server, hosts)), "write").error is None


def test_environment(
    open_store: OpenStore, postgres_server: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the URL leaves out comes from libpq's environment variables."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres_server.port))
    monkeypatch.setenv("PGUSER", "postgres")
    assert Attempt(open_store("postgresql:///postgres"), "write").error is None


def test_socket_that_is_none(open_store: OpenStore) -> None:
    """A Unix socket where nobody listens is a server that is not there."""
    attempt = Attempt(open_store("postgresql://%2Fnowhere/db"), "write")
    assert type(attempt.error) is BackendUnavailableError


def test_no_postgres(open_store: OpenStore, valkey_server: Any) -> None:
    """Something else on that port is told as what it is, in time."""
    attempt = Attempt(
        open_store(f"postgresql://127.0.0.1:{valkey_server.port}/db", timeout=0.3), "read"
    )
    assert isinstance(attempt.error, StorageError)
    assert attempt.seconds < 0.8


def test_used_again(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """A connection is used again, and not made for each call."""
    store = open_store(postgres_proxy.url)
    with postgres_proxy.record() as traffic:
        for _ in range(20):
            store.write(A, b"1", None)
    assert traffic.connections == 1


def test_long_idle(
    open_store: OpenStore, postgres_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle for long is replaced: a router may have forgotten it."""
    monkeypatch.setattr(pool, "IDLE_TIMEOUT", 0.0)
    store = open_store(postgres_proxy.url)
    store.write(A, b"1", None)
    with postgres_proxy.record() as traffic:
        store.write(A, b"1", None)
        assert traffic.connections == 1


@pytest.mark.parametrize("size", [10, 2**24])
def test_sizes(open_store: OpenStore, postgres_url: str, size: int) -> None:
    """Values up to the limit of core go through, alone and in batches."""
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
