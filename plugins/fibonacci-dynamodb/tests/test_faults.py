"""Failures of the network and the server: every call ends in time, and reports its true outcome."""

import signal
import socket
import threading
import time
from collections.abc import Callable

import pytest
from services.dynamodb import Moto
from services.proxy import Proxy

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import Store
from fibonacci.testing.network import BlackHole, Delay
from fibonacci.testing.threads import run_concurrently
from fibonacci_dynamodb import transport
from fibonacci_dynamodb.connection import Connection

from .conftest import ADDRESS, Open, OpenStore, name_of, soon, until


def raises_within(act: Callable[[], object], *, at_most: float) -> None:
    """Expect an act to raise a storage error within ``at_most`` seconds."""
    start = time.monotonic()
    with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
        act()
    assert time.monotonic() - start < at_most


def test_silent_server_times_out(store: Store, moto_proxy: Proxy):
    """A server that accepts a request and never responds times out at the deadline."""
    store.write(ADDRESS, b"old", None, deadline=soon())
    with moto_proxy.fault(BlackHole()):
        with pytest.raises(BackendUnavailableError, match="the request timed out"):
            store.read(ADDRESS, deadline=soon(0.3))
        with pytest.raises(OutcomeUnknownError, match="may have been applied"):
            store.write(ADDRESS, b"new", None, deadline=soon(0.3))
    assert store.read(ADDRESS, deadline=soon()) in (b"old", b"new")


@pytest.mark.bare
def test_signals_do_not_extend_the_deadline(store: Store, moto_proxy: Proxy):
    """Frequent signals do not extend a call past its deadline (C18)."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with moto_proxy.fault(BlackHole()):
            raises_within(lambda: store.read(ADDRESS, deadline=soon(0.4)), at_most=0.9)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_expired_deadline_sends_nothing(store: Store, moto_proxy: Proxy, open_store: OpenStore):
    """A call whose deadline has passed sends nothing, even the first call of a store."""
    with pytest.raises(BackendUnavailableError, match="the request timed out"):
        open_store("dynamodb://eu-west-1").read(ADDRESS, deadline=soon(-1))
    with moto_proxy.record() as traffic:
        for deadline in (0.0, soon(-1)):
            with pytest.raises(BackendUnavailableError):
                store.write(ADDRESS, b"new", None, deadline=deadline)
    assert traffic.round_trips == 0
    assert store.read(ADDRESS, deadline=soon()) is None


def test_late_response_is_not_read_by_the_next_call(store: Store, moto_proxy: Proxy):
    """A connection whose response came too late is never used again (C19)."""
    store.write(ADDRESS, b"1", None, deadline=soon())
    other = ADDRESS._replace(key="other")
    for _ in range(3):
        with moto_proxy.fault(Delay(replies=0.2)):
            raises_within(lambda: store.read(ADDRESS, deadline=soon(0.1)), at_most=0.6)
        assert store.read(other, deadline=soon()) is None


def test_sequential_calls_share_a_connection(store: Store, moto_proxy: Proxy):
    """Sequential calls share one connection; after close() a call opens a new one."""
    with moto_proxy.record() as traffic:
        for _ in range(5):
            store.exists(ADDRESS, deadline=soon())
    assert (traffic.connections, moto_proxy.open) == (0, 1)
    store.close()
    assert store.exists(ADDRESS, deadline=soon()) is False


def test_connection_idle_too_long_is_replaced(
    proxied: str, open_store: OpenStore, moto_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    """A connection that was idle for too long is replaced, as it may be dead."""
    monkeypatch.setattr(transport, "MAX_IDLE_SECONDS", 0.0)
    store = open_store(proxied)
    store.exists(ADDRESS, deadline=soon())
    with moto_proxy.record() as traffic:
        store.exists(ADDRESS, deadline=soon())
    assert traffic.connections == 1


def test_ten_idle_connections_stay_open(store: Store, moto_proxy: Proxy):
    """Concurrent callers get a connection each; afterwards at most ten stay open."""
    moto_proxy.begin(BlackHole(requests=False))

    def heal() -> None:
        until(lambda: moto_proxy.open == 14)
        moto_proxy.heal()

    run_concurrently([lambda: store.exists(ADDRESS, deadline=soon(30))] * 14, heal)
    until(lambda: moto_proxy.open <= 10)
    assert moto_proxy.open == 10
    for _ in range(14):
        assert store.exists(ADDRESS, deadline=soon()) is False


def test_connection_returned_after_close_is_closed(store: Store, moto_proxy: Proxy):
    """A connection that is put back after close() is closed."""
    caller = threading.Thread(target=lambda: store.exists(ADDRESS, deadline=soon(30)))
    with moto_proxy.record() as traffic, moto_proxy.fault(BlackHole(requests=False)):
        caller.start()
        until(lambda: traffic.replies)
        store.close()
        assert moto_proxy.open == 1
    caller.join()
    until(lambda: moto_proxy.open == 0)


def test_closed_socket_is_not_reusable():
    """A connection whose socket was closed is not reusable (C19)."""
    ours, theirs = socket.socketpair()
    connection = Connection(ours)
    assert connection.is_reusable() is True
    connection.close()
    assert connection.is_reusable() is False
    theirs.close()


def test_deleted_table_is_created_again(proxied: str, moto_server: Moto, open_memory: Open):
    """A store whose table was deleted creates it again."""
    memory = open_memory(proxied)
    memory.set("k", 1)
    moto_server("DeleteTable", TableName=name_of(proxied))
    assert memory.get("k") is None
    memory.set("k", 2)
    assert memory.get("k") == 2
