"""Memories for the tests of this folder."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from fibonacci import MemoryConfig, MemoryManager, Workflow

from .slow_store import SlowStore

_names = count()


@pytest.fixture
def config() -> MemoryConfig:
    """A configuration whose in-process store nobody else uses."""
    return MemoryConfig(connection_url=f"memory://test-{next(_names)}")


@pytest.fixture
def memory(config: MemoryConfig) -> Iterator[MemoryManager]:
    """A memory over an empty store."""
    with Workflow("flow", config) as workflow:
        yield workflow.memory


@pytest.fixture
def slow_store() -> SlowStore:
    """A store of this test that responds slowly."""
    return SlowStore()


@pytest.fixture
def slow_memory(slow_store: SlowStore) -> Iterator[MemoryManager]:
    """A memory in the slow store, with a long timeout."""
    with Workflow("w", MemoryConfig(slow_store, timeout=60)) as workflow:
        yield workflow.memory


@pytest.fixture
def core() -> Path:
    """The folder of the core's sources."""
    import fibonacci

    return Path(fibonacci.__file__).parent
