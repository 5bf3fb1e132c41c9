"""Records too large for a script: the client compares them, under WATCH."""

from typing import Any

from services.standalone import Redis

from fibonacci.plugin import Address, Space
from fibonacci.testing.threads import run_concurrently

KEY = Address(Space("t:large:", "workflow", "w"), "k")
LARGE = b"x" * 20_000


def test_concurrent_changes_are_all_applied(open_client: Any, valkey_server: Redis) -> None:
    """No change to a large record is lost if several stores change it concurrently (C16)."""
    stores = [open_client(valkey_server.url) for _ in range(4)]
    stores[0]("write", KEY, LARGE, None)

    def grow(store: Any) -> None:
        for _ in range(50):
            while True:
                found = store("read", KEY)
                if store("compare_and_set", KEY, found, found + b"+", None):
                    break

    run_concurrently([lambda store=store: grow(store) for store in stores])
    assert stores[0]("read", KEY) == LARGE + b"+" * 200
    assert stores[0]("remove", KEY) is True
