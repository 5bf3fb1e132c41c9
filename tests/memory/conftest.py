"""Memories for the tests of this folder."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from fibonacci import MemoryConfig, MemoryManager, Workflow

from .distant import Distant

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
def distant() -> Distant:
    """A store of this test, far away."""
    return Distant()


@pytest.fixture
def far(distant: Distant) -> Iterator[MemoryManager]:
    """A memory over it, with time enough."""
    with Workflow("w", MemoryConfig(distant, timeout=60)) as workflow:
        yield workflow.memory


@pytest.fixture
def core() -> Path:
    """The folder of the core's sources."""
    import fibonacci

    return Path(fibonacci.__file__).parent
