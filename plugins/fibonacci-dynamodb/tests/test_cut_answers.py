"""Answers that break off, at every byte of them, and requests: each is told for what it is."""

from collections.abc import Callable

from services.faults import Cut
from services.proxy import Proxy

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, Store

from .conftest import ADDRESS, soon

Act = Callable[[], object]


def length_of(proxy: Proxy, act: Act, direction: str) -> int:
    """How many bytes a request, or its answer, has."""
    with proxy.record() as traffic:
        act()
    (exchange,) = traffic.exchanges
    return len(exchange.reply if direction == "reply" else exchange.request)


def told(act: Act) -> object:
    """What an act answers, or the type of what it raises."""
    try:
        return act()
    except (BackendUnavailableError, OutcomeUnknownError) as fault:
        return type(fault)


def test_reads(store: Store, moto_proxy: Proxy):
    """A read whose answer is cut off, wherever that is, is a fault: never "absent" (C14)."""
    store.write(ADDRESS, b"value" * 20, None, deadline=soon())

    def read() -> object:
        return store.read(ADDRESS, deadline=soon())

    length = length_of(moto_proxy, read, "reply")
    for offset in range(length):
        with moto_proxy.fault(Cut(replies=offset, reset=offset % 2 == 1)):
            assert told(read) is BackendUnavailableError, offset
    assert length > 300
    assert read() == b"value" * 20


def test_writes(store: Store, moto_proxy: Proxy):
    """A write whose answer is cut off, wherever that is, may have been applied (C18)."""

    def write() -> object:
        return store.write(ADDRESS, b"value", None, deadline=soon())

    for offset in range(length_of(moto_proxy, write, "reply")):
        with moto_proxy.fault(Cut(replies=offset)):
            assert told(write) is OutcomeUnknownError, offset


def test_compare_and_set(store: Store, moto_proxy: Proxy):
    """A compare-and-set is sent once, and applied once, whatever becomes of its answer (C16)."""

    def add() -> object:
        return store.compare_and_set(ADDRESS, ABSENT, b"1", None, deadline=soon())

    length = length_of(moto_proxy, add, "reply")
    for offset in range(0, length, 7):
        store.remove(ADDRESS, deadline=soon())
        with moto_proxy.record() as traffic, moto_proxy.fault(Cut(replies=offset)):
            assert told(add) is OutcomeUnknownError, offset
        assert traffic.round_trips == 1
        assert store.read(ADDRESS, deadline=soon()) == b"1"


def test_requests(store: Store, moto_proxy: Proxy):
    """A request that is cut off before its end does nothing, and is at worst unknown (C18)."""
    store.write(ADDRESS, b"old", None, deadline=soon())

    def write() -> object:
        return store.write(ADDRESS, b"new", None, deadline=soon())

    length = length_of(
        moto_proxy, lambda: store.write(ADDRESS, b"old", None, deadline=soon()), "request"
    )
    for offset in range(0, length, 5):
        with moto_proxy.fault(Cut(requests=offset)):
            assert told(write) in (BackendUnavailableError, OutcomeUnknownError), offset
        assert store.read(ADDRESS, deadline=soon()) == b"old", offset
