"""Records too large for a script: the client compares them, and the server watches."""

from typing import Any

from services.standalone import Redis

from fibonacci.plugin import Address, Space
from fibonacci.testing.threads import run_concurrently

KEY = Address(Space("t:large:", "workflow", "w"), "k")
LARGE = b"x" * 20_000


def test_changes_by_many(opening: Any, valkey_server: Redis) -> None:
    """Of changes to a large record by stores that know nothing of each other none is lost (C16)."""
    stores = [opening(valkey_server.url) for _ in range(4)]
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
