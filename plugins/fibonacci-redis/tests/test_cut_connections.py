"""A connection that breaks at any byte: what a verb says is the truth, and the next one works."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from services.faults import Cut
from services.proxy import Proxy
from services.standalone import Redis

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space

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
    "swap": lambda client: client("compare_and_set", at("old"), b"1", b"2", KEEP_TTL),
    "swap, long": lambda client: client("compare_and_set", at("old"), b"1", LONG, KEEP_TTL),
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
    """A store with a connection that nothing happens to."""
    return open_client(valkey_server.url, mode="sync")


def seed(client: Any) -> None:
    """Three records, of which one expires."""
    client.clear(SPACE)
    client("write_many", [(at("old"), b"1"), (at("oldest"), b"1")], None)
    client("write", at("older"), b"1", 60_000)


def state(client: Any) -> list[Any]:
    """What there is: bytes, and whether they expire."""
    return [
        (key, client("read", at(key)), type(client("remaining_ttl_ms", at(key)))) for key in KEYS
    ]


def cut(side: str, offset: int) -> Cut:
    """The next connection ends after so many bytes of its requests, or of its replies."""
    return Cut(requests=offset, times=1) if side == "requests" else Cut(replies=offset, times=1)


def attempt(verb: Verb, client: Any) -> Exception | None:
    """Do it, and return what was raised."""
    try:
        verb(client)
    except (BackendUnavailableError, OutcomeUnknownError) as fault:
        return fault
    return None


def sizes(verb: Verb, client: Any, proxy: Proxy) -> tuple[int, int]:
    """How many bytes go out for a verb, and come back."""
    seed(client)
    with proxy.record() as traffic:
        verb(client)
    return len(traffic.requests), len(traffic.replies)


def offsets(size: int, step: int) -> list[int]:
    """At each ``step`` bytes, and at the last ones; of the middle of a long one, some."""
    middle = range(300, size - 50, 499)
    return [
        *range(0, min(size, 300), step),
        *middle,
        *range(max(300, size - 50), size, step),
        size - 1,
    ]


def cases(verbs: dict[str, Verb]) -> Any:
    """Each verb, cut on each side, once in each mode; and at every byte in both, which is long."""
    found = []
    for number, verb in enumerate(verbs):
        for side in ("requests", "replies"):
            for mode in ("sync", "async"):
                here = (number + (side == "replies")) % 2 == (mode == "async")
                marks = () if here else pytest.mark.long
                found.append(pytest.param(verb, side, mode, 7, marks=marks))
                found.append(pytest.param(verb, side, mode, 1, marks=pytest.mark.long))
    return pytest.mark.parametrize(("verb", "side", "mode", "step"), found)


@cases(WRITES)
def test_writes(
    verb: str, side: str, step: int, open_client: Any, watcher: Any, valkey_proxy: Proxy
) -> None:
    """A write that is cut off at any byte says whether it may have been applied (C18, C19)."""
    client = open_client(valkey_proxy.url)
    size = sizes(WRITES[verb], client, valkey_proxy)[side == "replies"]
    seed(watcher)
    before = state(watcher)
    for offset in offsets(size, step):
        seed(watcher)
        client("exists", at("old"))
        with valkey_proxy.fault(cut(side, offset)):
            raised = attempt(WRITES[verb], client)
        time.sleep(0.002)  # a connection that has just been used is not looked at
        after = state(watcher)
        if raised is None:
            assert after != before, offset
        elif isinstance(raised, BackendUnavailableError):
            assert after == before, offset
        assert client("read", at("oldest")) == watcher("read", at("oldest"))
        assert client.keys(SPACE) == [key for key, data, _ in sorted(after) if data is not None]


@cases(READS)
def test_reads(
    verb: str, side: str, step: int, open_client: Any, watcher: Any, valkey_proxy: Proxy
) -> None:
    """A read that is cut off at any byte gives the whole answer or raises (C14, C18)."""
    client = open_client(valkey_proxy.url)
    size = sizes(READS[verb], client, valkey_proxy)[side == "replies"]
    expected = READS[verb](client)
    for offset in offsets(size, step):
        time.sleep(0.002)  # a connection that has just been used is not looked at
        client("exists", at("old"))
        with valkey_proxy.fault(cut(side, offset)):
            try:
                answer = READS[verb](client)
            except BackendUnavailableError:
                continue
            if verb != "remaining_ttl_ms":
                assert answer == expected, offset
    time.sleep(0.002)
    assert READS[verb](client) == expected or verb == "remaining_ttl_ms"


@pytest.mark.parametrize("side", ["requests", "replies"])
def test_connecting(side: str, open_client: Any, valkey_proxy: Proxy, address: Address) -> None:
    """A connection that is cut off while it is made costs nothing but an error (C18)."""
    url = valkey_proxy.url.replace("/0", "/3")
    for offset in range(30):
        client = open_client(url)
        with valkey_proxy.fault(cut(side, offset)):
            raised = attempt(lambda client: client("write", address, b"1", None), client)
        time.sleep(0.002)
        assert not isinstance(raised, BackendUnavailableError) or client("read", address) is None
        client("write", address, b"2", None)
        assert client("read", address) == b"2"
        client("remove", address)
