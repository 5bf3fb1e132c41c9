"""Fixtures that open stores for a test, in sync and in async code."""

from collections.abc import Iterator
from typing import Any

import pytest

from .stores import OpenStore, StoreClient, create_backend


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Each mode, in turn."""
    mode: str = request.param
    return mode


@pytest.fixture(name="open_store")
def store_opener(mode: str) -> Iterator[OpenStore]:
    """Opens stores in the test's mode, and closes them when the test ends."""
    opened: list[StoreClient] = []

    def open_store(url: str, **options: Any) -> StoreClient:
        opened.append(StoreClient(mode, create_backend(url, **options)))
        return opened[-1]

    yield open_store
    for store in opened:
        store.shut_down()
