"""Stores of one's own for a test, in sync and async code."""

from collections.abc import Iterator
from typing import Any

import pytest

from .speaking import VERBS, Opening, Speaker, backend


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both modes, in turn."""
    mode: str = request.param
    return mode


@pytest.fixture
def opening(mode: str) -> Iterator[Opening]:
    """Opens stores in the test's mode, and closes them in the end."""
    opened: list[Speaker] = []

    def open_store(url: str, **options: Any) -> Speaker:
        opened.append(Speaker(mode, backend(url, **options)))
        return opened[-1]

    yield open_store
    for one in opened:
        one.end()


@pytest.fixture(params=list(VERBS))
def verb(request: pytest.FixtureRequest) -> str:
    """Each verb, in turn."""
    verb: str = request.param
    return verb
