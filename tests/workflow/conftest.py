"""Workflows for these tests, and fixtures that run them in sync and async code."""

import asyncio
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import count
from typing import Any

import pytest

from fibonacci import Event, ExecutionResult, MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address

Execute = Callable[..., ExecutionResult]
Stream = Callable[..., Generator[Event]]

_names = count()


@pytest.fixture
def config() -> MemoryConfig:
    """A configuration whose in-process store nobody else uses."""
    return MemoryConfig(connection_url=f"memory://workflow-test-{next(_names)}")


@pytest.fixture
def workflow(config: MemoryConfig) -> Iterator[Workflow]:
    """A workflow without nodes, and with an empty memory."""
    with Workflow("flow", config) as workflow:
        yield workflow


def in_sync(workflow: Workflow, *args: Any, **kwargs: Any) -> ExecutionResult:
    return workflow.execute(*args, **kwargs)


def in_async(workflow: Workflow, *args: Any, **kwargs: Any) -> ExecutionResult:
    return asyncio.run(workflow.aexecute(*args, **kwargs))


@pytest.fixture(params=[in_sync, in_async], ids=["sync", "async"])
def execute(request: pytest.FixtureRequest) -> Execute:
    """Runs a workflow, in each of the two modes."""
    mode: Execute = request.param
    return mode


class RecordingStore(LocalStore):
    """A store that records its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[Address]] = []
        """The addresses of each request that reads."""
        self.writes: list[Address] = []

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        self.reads.append([address])
        return super().read(address, deadline=deadline)

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        self.reads.append(list(addresses))
        return [
            super(RecordingStore, self).read(address, deadline=deadline) for address in addresses
        ]

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        self.writes.append(address)
        super().write(address, data, ttl_ms, deadline=deadline)

    def compare_and_set(self, address: Address, *args: Any, **kwargs: Any) -> bool:
        self.writes.append(address)
        return super().compare_and_set(address, *args, **kwargs)


@pytest.fixture
def store() -> RecordingStore:
    """An empty store that records its requests."""
    return RecordingStore()


@pytest.fixture
def counted(store: RecordingStore) -> Iterator[Workflow]:
    """A workflow over the store that records its requests."""
    with Workflow("flow", MemoryConfig(store)) as workflow:
        yield workflow


def stream_in_sync(workflow: Workflow, *args: Any, **kwargs: Any) -> Generator[Event]:
    return workflow.stream(*args, **kwargs)


def stream_in_async(workflow: Workflow, *args: Any, **kwargs: Any) -> Generator[Event]:
    """An async stream, read by a sync loop: the event loop runs only while an event is read."""
    with asyncio.Runner() as runner:
        events = workflow.astream(*args, **kwargs)
        try:
            while (event := runner.run(anext(events, None))) is not None:
                yield event
        finally:
            runner.run(events.aclose())


@pytest.fixture(params=[stream_in_sync, stream_in_async], ids=["sync", "async"])
def stream(request: pytest.FixtureRequest) -> Stream:
    """Streams a workflow, in each of the two modes."""
    mode: Stream = request.param
    return mode
