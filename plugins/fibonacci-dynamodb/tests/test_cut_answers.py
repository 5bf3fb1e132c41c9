"""Answers that break off, at every byte of them, and requests: each is told for what it is."""

from collections.abc import Callable

import pytest
from services.faults import Cut
from services.proxy import Proxy

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, Store

from .conftest import ADDRESS, soon

Act = Callable[[], object]


steps = pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.long)])


def offsets(proxy: Proxy, act: Act, direction: str, step: int) -> list[int]:
    """Where to cut a request, or its answer: at its ends, where its head ends, and each `step`."""
    with proxy.record() as traffic:
        act()
    (exchange,) = traffic.exchanges
    text = exchange.reply if direction == "reply" else exchange.request
    body = text.index(b"\r\n\r\n") + 4
    around = {1, *range(body - 4, body + 2), len(text) - 2, len(text) - 1}
    assert max(around) < len(text)
    return sorted({*range(0, len(text), step), *around})


def told(act: Act) -> object:
    """What an act answers, or the type of what it raises."""
    try:
        return act()
    except (BackendUnavailableError, OutcomeUnknownError) as fault:
        return type(fault)


@steps
def test_reads(store: Store, moto_proxy: Proxy, step: int):
    """A read whose answer is cut off, wherever that is, is a fault: never "absent" (C14)."""
    store.write(ADDRESS, b"value" * 20, None, deadline=soon())

    def read() -> object:
        return store.read(ADDRESS, deadline=soon())

    for offset in offsets(moto_proxy, read, "reply", step):
        with moto_proxy.fault(Cut(replies=offset, reset=offset % 2 == 1)):
            assert told(read) is BackendUnavailableError, offset
    assert read() == b"value" * 20


@steps
def test_writes(store: Store, moto_proxy: Proxy, step: int):
    """A write whose answer is cut off, wherever that is, may have been applied (C18)."""

    def write() -> object:
        return store.write(ADDRESS, b"value", None, deadline=soon())

    for offset in offsets(moto_proxy, write, "reply", step):
        with moto_proxy.fault(Cut(replies=offset)):
            assert told(write) is OutcomeUnknownError, offset


@steps
def test_compare_and_set(store: Store, moto_proxy: Proxy, step: int):
    """A compare-and-set is sent once, and applied once, whatever becomes of its answer (C16)."""

    def add() -> object:
        return store.compare_and_set(ADDRESS, ABSENT, b"1", None, deadline=soon())

    for offset in offsets(moto_proxy, add, "reply", step):
        store.remove(ADDRESS, deadline=soon())
        with moto_proxy.record() as traffic, moto_proxy.fault(Cut(replies=offset)):
            assert told(add) is OutcomeUnknownError, offset
        assert traffic.round_trips == 1
        assert store.read(ADDRESS, deadline=soon()) == b"1"


@steps
def test_requests(store: Store, moto_proxy: Proxy, step: int):
    """A request that is cut off before its end does nothing, and is at worst unknown (C18)."""
    store.write(ADDRESS, b"old", None, deadline=soon())

    def write() -> object:
        return store.write(ADDRESS, b"new", None, deadline=soon())

    def again() -> object:
        return store.write(ADDRESS, b"old", None, deadline=soon())

    for offset in offsets(moto_proxy, again, "request", step):
        with moto_proxy.fault(Cut(requests=offset)):
            assert told(write) in (BackendUnavailableError, OutcomeUnknownError), offset
        assert store.read(ADDRESS, deadline=soon()) == b"old", offset
