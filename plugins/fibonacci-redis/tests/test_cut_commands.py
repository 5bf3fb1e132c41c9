"""Requests that are cut after any command leave the index complete."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from services.proxy import Proxy
from services.standalone import Redis

from fibonacci import StorageError
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci.testing.network import Cut

LONG = b"x" * 9_000

VERBS: dict[str, Callable[..., object]] = {
    "create": lambda client, at: client("write", at("new"), b"1", None),
    "create with ttl": lambda client, at: client("write", at("new"), b"1", 60_000),
    "replace": lambda client, at: client("write", at("old"), b"2", None),
    "add": lambda client, at: client("compare_and_set", at("new"), ABSENT, b"1", None),
    "cas": lambda client, at: client("compare_and_set", at("old"), b"1", b"2", KEEP_TTL),
    "cas, long": lambda client, at: client("compare_and_set", at("old"), b"1", LONG, KEEP_TTL),
    "remove": lambda client, at: client("remove", at("old")),
    "touch": lambda client, at: client("touch", at("old"), None),
    "write_many": lambda client, at: client(
        "write_many", [(at("new"), b"1"), (at("two"), b"2")], None
    ),
    "write_many with ttl": lambda client, at: client(
        "write_many", [(at("new"), b"1"), (at("two"), b"2")], 60_000
    ),
    "remove_many": lambda client, at: client("remove_many", [at("old"), at("older")]),
    "clear": lambda client, at: client("clear", at("").space),
}


@pytest.mark.parametrize("verb", VERBS)
def test_cut_request_leaves_the_index_complete(
    verb: str, open_client: Any, valkey_proxy: Proxy, valkey_server: Redis
) -> None:
    """A verb whose request is cut after any command leaves all records listed (C14)."""
    sizes = _command_ends(verb, open_client, valkey_proxy, f"{verb}:")
    for number, size in enumerate(sizes):
        space = Space("t:split:", "workflow", f"{verb}{number}")
        store, watcher = open_client(valkey_proxy.url, timeout=5.0), open_client(valkey_server.url)
        _write_records(watcher, space)
        store("exists", Address(space, "old"))  # connects before the fault begins
        with valkey_proxy.fault(Cut(requests=size)):
            _call_verb(verb, store, space)
        _check_listing(watcher, space)
        watcher.clear(space)


def _write_records(client: Any, space: Space) -> None:
    client("write_many", [(Address(space, key), b"1") for key in ("old", "older", "oldest")], None)


def _call_verb(verb: str, client: Any, space: Space) -> None:
    with suppress(StorageError):
        VERBS[verb](client, lambda key: Address(space, key))


def _command_ends(verb: str, open_client: Any, proxy: Proxy, owner: str) -> list[int]:
    """Return at how many bytes each command of the verb's requests ends."""
    space = Space("t:split:", "workflow", owner)
    store = open_client(proxy.url)
    _write_records(store, space)
    with proxy.record() as traffic:
        VERBS[verb](store, lambda key: Address(space, key))
    sent = traffic.requests
    store.clear(space)
    starts = [
        at
        for at in range(len(sent))
        if sent.startswith(b"*", at) and sent[at - 1 : at] in (b"", b"\n")
    ]
    return sorted({*starts[1:], *(at + 5 for at in starts), len(sent) - 1, len(sent)})


def _check_listing(client: Any, space: Space) -> None:
    keys = ["new", "two", "old", "older", "oldest"]
    live = sorted(key for key in keys if client("exists", Address(space, key)))
    assert client.keys(space) == live
