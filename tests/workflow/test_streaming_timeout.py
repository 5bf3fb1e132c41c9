"""Timeouts of streams: slow models, silent models, and slow readers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from threading import Event
from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    LLMNode,
    NodeExecutionError,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    NodeText,
    Workflow,
    WorkflowTimeoutError,
)
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta

Pieces = Generator[TextDelta | Completion]
AsyncPieces = AsyncGenerator[TextDelta | Completion]


class Trickle(Model):
    """A model that streams a word every few milliseconds, forever, and ignores deadlines."""

    def __init__(self) -> None:
        self.closed = Event()

    def complete(self, request: ModelRequest) -> Completion:
        raise AssertionError

    def stream(self, request: ModelRequest) -> Pieces:
        try:
            while True:
                time.sleep(0.005)
                yield TextDelta("word ")
        finally:
            self.closed.set()

    async def astream(self, request: ModelRequest) -> AsyncPieces:
        try:
            while True:
                await asyncio.sleep(0.005)
                yield TextDelta("word ")
        finally:
            self.closed.set()


class Silent(Trickle):
    """Yields nothing until the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.called = Event()
        self.go = Event()

    def stream(self, request: ModelRequest) -> Pieces:
        self.called.set()
        assert self.go.wait(60)
        yield from super().stream(request)

    async def astream(self, request: ModelRequest) -> AsyncPieces:
        await asyncio.sleep(10)
        yield TextDelta("never")


class Stubborn(Trickle):
    """Goes on when it is cancelled."""

    async def astream(self, request: ModelRequest) -> AsyncPieces:
        try:
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.005)
                yield TextDelta("word ")
        finally:
            self.closed.set()


@pytest.mark.parametrize("whose", ["node", "workflow"])
@pytest.mark.parametrize("kind", [Trickle, Silent, Stubborn])
def test_endless_model_stream_times_out(stream: Any, kind: type[Trickle], whose: str) -> None:
    """A stream ends at the deadline, whatever its model does; nothing is written."""
    model = kind()
    workflow = Workflow("flow", timeout=0.2 if whose == "workflow" else None)
    timeout = 0.2 if whose == "node" else None
    workflow.add_node(LLMNode("n", model, "x", timeout=timeout, memory_write="k", retry=3))
    start = time.monotonic()
    with pytest.raises((NodeExecutionError, WorkflowTimeoutError)) as caught:
        list(stream(workflow))
    assert time.monotonic() - start < 5
    if whose == "workflow":
        assert isinstance(caught.value, WorkflowTimeoutError)
    else:
        assert isinstance(caught.value.__cause__, WorkflowTimeoutError)
    if isinstance(model, Silent):
        model.go.set()
    else:
        assert model.closed.wait(60)
    assert workflow.memory.list_keys() == []


def test_late_delta_is_dropped(workflow: Workflow) -> None:
    """A model that yields a delta after its deadline is closed, and the delta is dropped."""
    model = Silent()
    workflow.add_node(LLMNode("n", model, "x", timeout=0.1))
    workflow.add_node(FunctionNode("beside", lambda _: model.closed.wait(60)))
    events: list[Any] = []

    def read() -> None:
        for event in workflow.stream():
            events.append(event)
            if len(events) == 2:
                assert model.called.wait(60)  # its deadline is set
                time.sleep(0.2)
                model.go.set()

    with pytest.raises(NodeExecutionError):
        read()
    assert [(type(event), event.node_id) for event in events[2:]] == [(NodeFailed, "n")]


def test_delta_that_nobody_reads_times_out(workflow: Workflow) -> None:
    """A delta that waits for the reader until the node's deadline ends its model's stream."""
    model = Trickle()
    workflow.add_node(LLMNode("n", model, "x", timeout=0.5))
    events = workflow.stream()
    assert [next(events), next(events)] == [NodeStarted("n"), NodeText("n", "word ")]
    assert model.closed.wait(60)  # although the reader has not left
    with pytest.raises(NodeExecutionError, match="exceeded its timeout"):
        list(events)


class Halting(Trickle):
    """Says one word, and nothing after it."""

    def stream(self, request: ModelRequest) -> Pieces:
        try:
            yield TextDelta("word ")
            time.sleep(10)
        finally:
            self.closed.set()

    async def astream(self, request: ModelRequest) -> AsyncPieces:
        try:
            yield TextDelta("word ")
            await asyncio.sleep(10)
        finally:
            self.closed.set()


@pytest.mark.parametrize(
    ("whose", "kind"),
    [
        ("node", Trickle),
        ("workflow", Halting),
        pytest.param("node", Halting, marks=pytest.mark.long),
        pytest.param("workflow", Trickle, marks=pytest.mark.long),
    ],
)
def test_slow_reader_counts_towards_the_timeout(
    stream: Any, whose: str, kind: type[Trickle]
) -> None:
    """The time that a reader takes counts: a node whose deltas wait for too long times out."""
    model = kind()
    workflow = Workflow("flow", timeout=0.5 if whose == "workflow" else None)
    workflow.add_node(LLMNode("n", model, "x", timeout=0.5 if whose == "node" else None))
    events = stream(workflow)
    assert [next(events), next(events)] == [NodeStarted("n"), NodeText("n", "word ")]
    time.sleep(0.6)
    with pytest.raises((NodeExecutionError, WorkflowTimeoutError), match="exceeded its timeout"):
        list(events)
    assert model.closed.wait(60)


def test_slow_reader_of_a_finished_node(workflow: Workflow, stream: Any) -> None:
    """A node that had its output in time does not time out, however late that is read."""
    workflow.add_node(FunctionNode("n", lambda _: 1, timeout=0.3, memory_write="k"))
    for event in stream(workflow):
        if isinstance(event, NodeStarted | NodeFinished):
            time.sleep(0.35)
    assert workflow.memory.get("k") == 1


def test_stream_within_its_timeouts(stream: Any) -> None:
    """A stream that ends in time is not affected by its timeouts."""
    workflow = Workflow("flow", timeout=60)
    workflow.add_node(LLMNode("n", "echo", "fine", timeout=30))
    *_, last = stream(workflow)
    assert last.result == {"n": "fine"}
