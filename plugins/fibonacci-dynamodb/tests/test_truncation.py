"""Requests and responses that are cut off, at every byte: each outcome is reported correctly."""

from collections.abc import Callable

import pytest
from services.proxy import Proxy

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, Store
from fibonacci.testing.network import Cut

from .conftest import ADDRESS, soon

Act = Callable[[], object]


steps = pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.long)])


def offsets(proxy: Proxy, act: Act, direction: str, step: int) -> list[int]:
    """Return where to cut a request or response: its ends, the end of its head, and each `step`."""
    with proxy.record() as traffic:
        act()
    (exchange,) = traffic.exchanges
    text = exchange.reply if direction == "reply" else exchange.request
    body = text.index(b"\r\n\r\n") + 4
    around = {1, *range(body - 4, body + 2), len(text) - 2, len(text) - 1}
    assert max(around) < len(text)
    return sorted({*range(0, len(text), step), *around})


def outcome(act: Act) -> object:
    """Return what an act returns, or the type of what it raises."""
    try:
        return act()
    except (BackendUnavailableError, OutcomeUnknownError) as error:
        return type(error)


@steps
def test_truncated_response_is_never_absent(store: Store, moto_proxy: Proxy, step: int):
    """A read whose response is truncated, at any byte, raises; it never returns "absent" (C14)."""
    store.write(ADDRESS, b"value" * 20, None, deadline=soon())

    def read() -> object:
        return store.read(ADDRESS, deadline=soon())

    for offset in offsets(moto_proxy, read, "reply", step):
        with moto_proxy.fault(Cut(replies=offset, reset=offset % 2 == 1)):
            assert outcome(read) is BackendUnavailableError, offset
    assert read() == b"value" * 20


@steps
def test_write_with_truncated_response_is_unknown(store: Store, moto_proxy: Proxy, step: int):
    """A write whose response is truncated, at any byte, raises OutcomeUnknownError (C18)."""

    def write() -> object:
        return store.write(ADDRESS, b"value", None, deadline=soon())

    for offset in offsets(moto_proxy, write, "reply", step):
        with moto_proxy.fault(Cut(replies=offset)):
            assert outcome(write) is OutcomeUnknownError, offset


@steps
def test_compare_and_set_is_sent_once(store: Store, moto_proxy: Proxy, step: int):
    """A compare-and-set is sent and applied once, even if its response is truncated (C16)."""

    def add() -> object:
        return store.compare_and_set(ADDRESS, ABSENT, b"1", None, deadline=soon())

    for offset in offsets(moto_proxy, add, "reply", step):
        store.remove(ADDRESS, deadline=soon())
        with moto_proxy.record() as traffic, moto_proxy.fault(Cut(replies=offset)):
            assert outcome(add) is OutcomeUnknownError, offset
        assert traffic.round_trips == 1
        assert store.read(ADDRESS, deadline=soon()) == b"1"


@steps
def test_truncated_request_changes_nothing(store: Store, moto_proxy: Proxy, step: int):
    """A truncated request changes nothing, and raises at worst OutcomeUnknownError (C18)."""
    store.write(ADDRESS, b"old", None, deadline=soon())

    def write() -> object:
        return store.write(ADDRESS, b"new", None, deadline=soon())

    def again() -> object:
        return store.write(ADDRESS, b"old", None, deadline=soon())

    for offset in offsets(moto_proxy, again, "request", step):
        with moto_proxy.fault(Cut(requests=offset)):
            assert outcome(write) in (BackendUnavailableError, OutcomeUnknownError), offset
        assert store.read(ADDRESS, deadline=soon()) == b"old", offset
