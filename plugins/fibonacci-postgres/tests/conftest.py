"""Stores of one's own for a test, in both voices."""

from collections.abc import Iterator
from typing import Any

import pytest

from .speaking import VERBS, Opening, Speaker, backend


@pytest.fixture(params=["sync", "async"])
def voice(request: pytest.FixtureRequest) -> str:
    """Both voices, in turn."""
    voice: str = request.param
    return voice


@pytest.fixture
def opening(voice: str) -> Iterator[Opening]:
    """Opens stores in the test's voice, and closes them in the end."""
    opened: list[Speaker] = []

    def open_store(url: str, **options: Any) -> Speaker:
        opened.append(Speaker(voice, backend(url, **options)))
        return opened[-1]

    yield open_store
    for one in opened:
        one.end()


@pytest.fixture(params=list(VERBS))
def verb(request: pytest.FixtureRequest) -> str:
    """Each verb, in turn."""
    verb: str = request.param
    return verb
