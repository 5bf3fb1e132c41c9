"""Connections that break at any byte: the verb reports the truth, and the next one works."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from services.proxy import Proxy
from services.standalone import Redis

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci.testing.network import Cut

LONG = b"x" * 9_000
SPACE = Space("t:cut:", "workflow", "w")
KEYS = ["new", "two", "old", "older", "oldest"]


def at(key: str) -> Address:
    return Address(SPACE, key)


Verb = Callable[[Any], Any]

WRITES: dict[str, Verb] = {
    "create": lambda client: client("write", at("new"), b"1", None),
    "create with ttl": lambda client: client("write", at("new"), b"1", 60_000),
    "replace": lambda client: client("write", at("old"), b"2", None),
    "add": lambda client: client("compare_and_set", at("new"), ABSENT, b"1", None),
    "cas": lambda client: client("compare_and_set", at("old"), b"1", b"2", KEEP_TTL),
    "cas, long": lambda client: client("compare_and_set", at("old"), b"1", LONG, KEEP_TTL),
    "remove": lambda client: client("remove", at("old")),
    "touch": lambda client: client("touch", at("old"), 60_000),
    "keep for ever": lambda client: client("touch", at("older"), None),
    "write_many": lambda client: client("write_many", [(at("new"), b"1"), (at("two"), b"2")], None),
    "write_many with ttl": lambda client: client(
        "write_many", [(at("new"), b"1"), (at("two"), b"2")], 60_000
    ),
    "remove_many": lambda client: client("remove_many", [at("old"), at("older")]),
    "clear": lambda client: client("clear", SPACE),
}
READS: dict[str, Verb] = {
    "read": lambda client: client("read", at("old")),
    "exists": lambda client: client("exists", at("old")),
    "remaining_ttl_ms": lambda client: client("remaining_ttl_ms", at("older")),
    "read_many": lambda client: client("read_many", [at("old"), at("none"), at("older")]),
    "scan": lambda client: list(client("scan", SPACE).keys),
}


@pytest.fixture
def watcher(open_client: Any, valkey_server: Redis) -> Any:
    """A sync store on a connection without faults."""
    return open_client(valkey_server.url, mode="sync")


def write_records(client: Any) -> None:
    """Write three records, of which one expires."""
    client.clear(SPACE)
    client("write_many", [(at("old"), b"1"), (at("oldest"), b"1")], None)
    client("write", at("older"), b"1", 60_000)


def read_state(client: Any) -> list[Any]:
    """Return the records, and whether they expire."""
    return [
        (key, client("read", at(key)), type(client("remaining_ttl_ms", at(key)))) for key in KEYS
    ]


def cut(side: str, offset: int) -> Cut:
    """Return a fault that ends the next connection after so many bytes of one direction."""
    return Cut(requests=offset, times=1) if side == "requests" else Cut(replies=offset, times=1)


def catch_error(verb: Verb, client: Any) -> Exception | None:
    """Call the verb and return the error, if any."""
    try:
        verb(client)
    except (BackendUnavailableError, OutcomeUnknownError) as error:
        return error
    return None


def measure(verb: Verb, client: Any, proxy: Proxy) -> tuple[int, int]:
    """Return how many bytes a verb sends and receives."""
    write_records(client)
    with proxy.record() as traffic:
        verb(client)
    return len(traffic.requests), len(traffic.replies)


def offsets(size: int, step: int) -> list[int]:
    """Return each ``step``-th offset and the last ones; few in the middle of a long message."""
    middle = range(300, size - 50, 499)
    return [
        *range(0, min(size, 300), step),
        *middle,
        *range(max(300, size - 50), size, step),
        size - 1,
    ]


def cases(verbs: dict[str, Verb]) -> Any:
    """Parametrize each verb and direction with one mode; with both modes and every byte if long."""
    params = []
    for number, verb in enumerate(verbs):
        for side in ("requests", "replies"):
            for mode in ("sync", "async"):
                here = (number + (side == "replies")) % 2 == (mode == "async")
                marks = () if here else pytest.mark.long
                params.append(pytest.param(verb, side, mode, 7, marks=marks))
                params.append(pytest.param(verb, side, mode, 1, marks=pytest.mark.long))
    return pytest.mark.parametrize(("verb", "side", "mode", "step"), params)


@cases(WRITES)
def test_cut_write_reports_its_outcome(
    verb: str, side: str, step: int, open_client: Any, watcher: Any, valkey_proxy: Proxy
) -> None:
    """A write that is cut off at any byte reports whether it may have been applied (C18, C19)."""
    client = open_client(valkey_proxy.url)
    size = measure(WRITES[verb], client, valkey_proxy)[side == "replies"]
    write_records(watcher)
    before = read_state(watcher)
    for offset in offsets(size, step):
        write_records(watcher)
        client("exists", at("old"))
        with valkey_proxy.fault(cut(side, offset)):
            raised = catch_error(WRITES[verb], client)
        time.sleep(0.002)  # a connection that was just used is not checked
        after = read_state(watcher)
        if raised is None:
            assert after != before, offset
        elif isinstance(raised, BackendUnavailableError):
            assert after == before, offset
        assert client("read", at("oldest")) == watcher("read", at("oldest"))
        assert client.keys(SPACE) == [key for key, data, _ in sorted(after) if data is not None]


@cases(READS)
def test_cut_read_returns_all_or_raises(
    verb: str, side: str, step: int, open_client: Any, watcher: Any, valkey_proxy: Proxy
) -> None:
    """A read that is cut off at any byte returns the whole value or raises (C14, C18)."""
    client = open_client(valkey_proxy.url)
    size = measure(READS[verb], client, valkey_proxy)[side == "replies"]
    expected = READS[verb](client)
    for offset in offsets(size, step):
        time.sleep(0.002)  # a connection that was just used is not checked
        client("exists", at("old"))
        with valkey_proxy.fault(cut(side, offset)):
            try:
                value = READS[verb](client)
            except BackendUnavailableError:
                continue
            if verb != "remaining_ttl_ms":
                assert value == expected, offset
    time.sleep(0.002)
    assert READS[verb](client) == expected or verb == "remaining_ttl_ms"


@pytest.mark.parametrize("side", ["requests", "replies"])
def test_cut_handshake_is_only_an_error(
    side: str, open_client: Any, valkey_proxy: Proxy, address: Address
) -> None:
    """A connection that is cut off during the handshake causes nothing but an error (C18)."""
    url = valkey_proxy.url.replace("/0", "/3")
    for offset in range(30):
        client = open_client(url)
        with valkey_proxy.fault(cut(side, offset)):
            raised = catch_error(lambda client: client("write", address, b"1", None), client)
        time.sleep(0.002)
        assert not isinstance(raised, BackendUnavailableError) or client("read", address) is None
        client("write", address, b"2", None)
        assert client("read", address) == b"2"
        client("remove", address)
