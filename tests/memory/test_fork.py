"""A memory after a fork: the child has its own store, the parent keeps its store (C21)."""

import os
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from forks import in_child

from fibonacci import MemoryConfig, MemoryManager, StorageError, Workflow, register_plugin
from fibonacci.plugin import Address, Backend, Page, Store, StoreSettings, hookimpl

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    # Forking beside threads is what is tested.
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]


class ProcessStore(Store):
    """A third party's store that notes in which process it was created, and closed."""

    instances: ClassVar[list["ProcessStore"]] = []

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.closed_by: list[int] = []
        ProcessStore.instances.append(self)

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return str(self.pid).encode()

    def write(self, address: Address, data: bytes, ttl_ms: int | None, **_: float) -> None: ...

    def compare_and_set(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def remove(self, address: Address, *, deadline: float) -> bool:
        return True

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> None: ...

    def scan(self, space: Any, **kwargs: Any) -> Page:
        return Page([], None)

    def close(self) -> None:
        self.closed_by.append(os.getpid())


class ProcessBackend(Backend):
    """Creates stores that belong to the current process."""

    def create_store(self) -> Store:
        return ProcessStore()


class ProcessPlugin:
    """The plugin ``process``."""

    FIBONACCI_SPEC_VERSION = 1

    @hookimpl
    def fibonacci_storage(self, settings: StoreSettings) -> Backend:
        return ProcessBackend()


@pytest.fixture
def process() -> Iterator[Workflow]:
    """A workflow over ``process``."""
    ProcessStore.instances.clear()
    with register_plugin("storage", "process", ProcessPlugin()):
        yield Workflow("w", MemoryConfig("process"))


def test_child_creates_its_own_store(process: Workflow) -> None:
    """A child creates its own store, and leaves the parent's alive and open."""
    memory = process.memory
    assert memory.get("k") == os.getpid()

    def child() -> bool:
        parent_store = ProcessStore.instances[0]
        assert memory.get("k") == os.getpid()
        process.close()
        own_store = ProcessStore.instances[1]
        return parent_store.closed_by == [] and own_store.closed_by == [os.getpid()]

    in_child(child)
    assert memory.get("k") == os.getpid()
    assert len(ProcessStore.instances) == 1


def test_child_of_a_closed_memory(process: Workflow) -> None:
    """A memory that was closed before the fork is closed in the child."""
    process.memory.set("k", 1)
    process.close()

    def child() -> bool:
        with pytest.raises(StorageError):
            process.memory.get("k")
        return True

    in_child(child)


def test_child_keeps_the_data_in_process(memory: MemoryManager) -> None:
    """The in-process store is copied by a fork; parent and child go on with their own copies."""
    memory.set("k", "before")

    def child() -> bool:
        found = memory.get("k")
        memory.set("k", "child")
        return bool(found == "before" and memory.get("k") == "child")

    in_child(child)
    assert memory.get("k") == "before"
