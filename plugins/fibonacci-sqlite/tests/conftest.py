import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fibonacci import MemoryConfig, MemoryManager, Workflow
from fibonacci_sqlite.settings import ConnectionOptions
from fibonacci_sqlite.store import SqliteStore

sys.path.insert(0, os.fspath(Path(__file__).parent))  # for sqlite_*.py, from all test files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a file that does not exist."""
    return tmp_path / "memory.db"


@pytest.fixture
def open_memory() -> Iterator[Callable[..., MemoryManager]]:
    """Opens memories on a file, each with its own store; they are closed after the test."""
    workflows = []

    def opened(path: Path, **options: Any) -> MemoryManager:
        timeout = options.pop("timeout", 5.0) + len(workflows) / 1e6
        config = MemoryConfig("sqlite", f"sqlite:///{path}", options=options, timeout=timeout)
        workflows.append(Workflow("w", config))
        return workflows[-1].memory

    yield opened
    for workflow in workflows:
        workflow.close()


@pytest.fixture
def memory(path: Path, open_memory: Callable[..., MemoryManager]) -> MemoryManager:
    """A memory in the file."""
    return open_memory(path)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """A store in the file."""
    store = SqliteStore(ConnectionOptions(path=os.fspath(path)))
    yield store
    store.close()


@pytest.fixture
def raw() -> Iterator[Callable[[Path], sqlite3.Connection]]:
    """Opens files with `sqlite3` itself, as another application does."""
    databases = []

    def connected(path: Path) -> sqlite3.Connection:
        databases.append(sqlite3.connect(path, isolation_level=None, timeout=0))
        return databases[-1]

    yield connected
    for database in databases:
        database.close()
