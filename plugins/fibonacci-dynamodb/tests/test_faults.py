"""A network and a server that fail: every call ends in time, and says the truth."""

import signal
import socket
import threading
import time
from collections.abc import Callable

import pytest
from services.dynamodb import Moto
from services.faults import BlackHole, Delay, Refuse, Trickle, lost_reply, lost_request
from services.proxy import Proxy

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import Store
from fibonacci.testing.threads import run_concurrently
from fibonacci_dynamodb import transport
from fibonacci_dynamodb.line import Line

from .aws_ledger import Ledger
from .conftest import ADDRESS, Open, OpenStore, name_of, soon, until


def slow(act: Callable[[], object], *, at_most: float) -> None:
    """Have an act raise a fault, no later than that."""
    start = time.monotonic()
    with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
        act()
    assert time.monotonic() - start < at_most


def test_a_trickle(store: Store, moto_proxy: Proxy):
    """An answer that comes byte by byte ends at the deadline, though no wait for it is long."""
    store.write(ADDRESS, b"x" * 2000, None, deadline=soon())
    with moto_proxy.fault(Trickle(rate=50)):
        slow(lambda: store.read(ADDRESS, deadline=soon(0.5)), at_most=1.0)
        slow(lambda: store.write(ADDRESS, b"y", None, deadline=soon(0.5)), at_most=1.0)


def test_silence(store: Store, moto_proxy: Proxy):
    """A server that takes a request and says nothing is left at the deadline."""
    store.write(ADDRESS, b"old", None, deadline=soon())
    with moto_proxy.fault(BlackHole()):
        with pytest.raises(BackendUnavailableError, match="the time ran out"):
            store.read(ADDRESS, deadline=soon(0.3))
        with pytest.raises(OutcomeUnknownError, match="may have been applied"):
            store.write(ADDRESS, b"new", None, deadline=soon(0.3))
    assert store.read(ADDRESS, deadline=soon()) in (b"old", b"new")


@pytest.mark.bare
def test_signals_do_not_prolong(store: Store, moto_proxy: Proxy):
    """A timer whose signals come all the time does not keep a caller waiting (C18)."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with moto_proxy.fault(BlackHole()):
            slow(lambda: store.read(ADDRESS, deadline=soon(0.4)), at_most=0.9)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_nobody_there(store: Store, moto_proxy: Proxy):
    """A write that reaches no server surely did nothing."""
    refused = pytest.raises(BackendUnavailableError, match="ConnectionRefusedError")
    with moto_proxy.fault(Refuse()), refused:
        store.write(ADDRESS, b"new", None, deadline=soon())
    assert store.read(ADDRESS, deadline=soon()) is None


def test_no_time_left(store: Store, moto_proxy: Proxy, open_store: OpenStore):
    """After its deadline a call sends nothing, the first of a store too."""
    with pytest.raises(BackendUnavailableError, match="the time ran out"):
        open_store("dynamodb://eu-west-1").read(ADDRESS, deadline=soon(-1))
    with moto_proxy.record() as traffic:
        for deadline in (0.0, soon(-1)):
            with pytest.raises(BackendUnavailableError):
                store.write(ADDRESS, b"new", None, deadline=deadline)
    assert traffic.round_trips == 0
    assert store.read(ADDRESS, deadline=soon()) is None


def test_a_slow_answer_is_not_the_next_ones(store: Store, moto_proxy: Proxy):
    """A connection that was given up on is never used again (C19)."""
    store.write(ADDRESS, b"1", None, deadline=soon())
    other = ADDRESS._replace(key="other")
    for _ in range(3):
        with moto_proxy.fault(Delay(replies=0.2)):
            slow(lambda: store.read(ADDRESS, deadline=soon(0.1)), at_most=0.6)
        assert store.read(other, deadline=soon()) is None


def test_idle_connections_that_ended(store: Store, moto_proxy: Proxy):
    """A connection that ended while it was idle costs no write its certainty."""
    for reset in (False, True):
        store.write(ADDRESS, b"1", None, deadline=soon())
        moto_proxy.drop(reset=reset)
        assert store.compare_and_set(ADDRESS, b"1", b"2", None, deadline=soon()) is True


def test_connections_are_kept(store: Store, moto_proxy: Proxy):
    """Calls in a row share one connection; an old one is replaced in time."""
    with moto_proxy.record() as traffic:
        for _ in range(5):
            store.exists(ADDRESS, deadline=soon())
    assert (traffic.connections, moto_proxy.open) == (0, 1)
    store.close()
    assert store.exists(ADDRESS, deadline=soon()) is False


def test_old_connections_are_not_used(
    proxied: str, open_store: OpenStore, moto_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    """One that was idle for long may be dead without a word, and is replaced."""
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.0)
    store = open_store(proxied)
    store.exists(ADDRESS, deadline=soon())
    with moto_proxy.record() as traffic:
        store.exists(ADDRESS, deadline=soon())
    assert traffic.connections == 1


def test_ten_connections_are_kept(store: Store, moto_proxy: Proxy):
    """Many callers at once have a connection each; what is over ten is closed afterwards."""
    moto_proxy.begin(BlackHole(requests=False))

    def heal() -> None:
        until(lambda: moto_proxy.open == 14)
        moto_proxy.heal()

    run_concurrently([lambda: store.exists(ADDRESS, deadline=soon(30))] * 14, heal)
    until(lambda: moto_proxy.open <= 10)
    assert moto_proxy.open == 10
    for _ in range(14):
        assert store.exists(ADDRESS, deadline=soon()) is False


def test_closed_while_in_use(store: Store, moto_proxy: Proxy):
    """A connection that comes back to a closed store is closed."""
    caller = threading.Thread(target=lambda: store.exists(ADDRESS, deadline=soon(30)))
    with moto_proxy.record() as traffic, moto_proxy.fault(BlackHole(requests=False)):
        caller.start()
        until(lambda: traffic.replies)
        store.close()
        assert moto_proxy.open == 1
    caller.join()
    until(lambda: moto_proxy.open == 0)


def test_a_closed_socket():
    """A connection that a signal closed on its way back is not taken for a quiet one (C19)."""
    ours, theirs = socket.socketpair()
    line = Line(ours)
    assert line.is_reusable() is True
    line.close()
    assert line.is_reusable() is False
    theirs.close()


def test_what_is_repeated(proxied: str, moto_proxy: Proxy, open_memory: Open):
    """A set whose answer is lost is made again; a compare-and-set and a delete never are (C20)."""
    memory = open_memory(proxied)
    memory.set("k", [1])
    with moto_proxy.fault(lost_reply(times=1)):
        assert memory.set("k", [1]) is True
    with moto_proxy.fault(lost_reply(times=1)):
        assert memory.get("k") == [1]
    lost = lost_reply(after=b"UpdateItem", times=1)
    with moto_proxy.fault(lost), pytest.raises(OutcomeUnknownError):
        memory.append("k", 2)
    assert memory.get("k") == [1, 2]
    with moto_proxy.fault(lost_reply(times=1)), pytest.raises(OutcomeUnknownError):
        memory.delete("k")
    with moto_proxy.fault(lost_request(times=1)):
        assert memory.set_many({"a": 1, "b": 2}) is True
    with moto_proxy.fault(lost_reply(times=1)):
        assert memory.clear() is True
    assert memory.list_keys() == []


def test_a_server_that_comes_back(
    proxied: str, moto_proxy: Proxy, open_memory: Open, ledger: Ledger
):
    """A call waits for a server that is away for a moment, and goes on with it."""
    memory = open_memory(proxied)
    memory.set("k", 1)
    found: list[object] = []
    caller = threading.Thread(target=lambda: found.append(memory.get("k")))
    before = len(ledger.requests)
    with moto_proxy.fault(Refuse()):
        caller.start()
        until(lambda: len(ledger.requests) > before + 1)  # it was refused once
        assert found == []
    caller.join()
    assert found == [1]


def test_a_server_that_comes_back_empty(proxied: str, moto_server: Moto, open_memory: Open):
    """A store whose table is gone makes it again."""
    memory = open_memory(proxied)
    memory.set("k", 1)
    moto_server("DeleteTable", TableName=name_of(proxied))
    assert memory.get("k") is None
    memory.set("k", 2)
    assert memory.get("k") == 2
