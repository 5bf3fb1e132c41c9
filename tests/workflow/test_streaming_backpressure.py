"""A streamed run waits at each event until the next one is requested."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from threading import Barrier, Lock, Thread
from typing import Any

from fibonacci import (
    Event,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    MemoryWritten,
    NodeFinished,
    NodeText,
    Workflow,
    WorkflowFinished,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Completion, Model, ModelRequest, TextDelta


class Counting(Model):
    """Streams a hundred numbers, and records how far it was read."""

    def __init__(self) -> None:
        self.said = 0

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text="".join(f"{number} " for number in range(100)))

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        for number in range(100):
            self.said += 1
            yield TextDelta(f"{number} ")
        yield self.complete(request)

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        for piece in self.stream(request):
            yield piece


def test_model_waits_for_the_reader(workflow: Workflow) -> None:
    """However slow the reader is, a model generates no delta before it is requested."""
    model = Counting()
    workflow.add_node(LLMNode("n", model, "x"))
    read = 0
    for event in workflow.stream():
        if isinstance(event, NodeText):
            read += 1
            if read % 10 == 0:
                time.sleep(0.01)
            assert model.said == read
    assert read == 100


def test_async_model_waits_for_the_reader(workflow: Workflow) -> None:
    """An async model generates no delta before it is requested, while the loop goes on."""
    model = Counting()
    workflow.add_node(LLMNode("n", model, "x"))

    async def main() -> int:
        read = 0
        async for event in workflow.astream():
            if isinstance(event, NodeText):
                read += 1
                await asyncio.sleep(0)
                await asyncio.sleep(0.01 if read % 10 == 0 else 0)
                assert model.said == read
        return read

    assert asyncio.run(main()) == 100


class Watched(LocalStore):
    """Records how many operations are running, and what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = 0
        self.written: list[str] = []

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        self.busy += 1
        found = super().read_many(addresses, deadline=deadline)
        self.busy -= 1
        return found

    def write(self, address: Address, *args: Any, **kwargs: Any) -> None:
        self.busy += 1
        super().write(address, *args, **kwargs)
        self.written.append(address.key)
        self.busy -= 1


def test_waiting_for_the_reader_uses_no_store(stream: Any) -> None:
    """While the run waits for its reader, the store is not in use."""
    store = Watched()
    workflow = Workflow("flow", MemoryConfig(store))
    workflow.add_node(LLMNode("n", "echo", "{{memory.k}}", memory_read=["k"], memory_write="k"))
    for _ in stream(workflow):
        assert store.busy == 0
    assert store.written == ["k"]


def test_output_is_written_after_it_was_read(stream: Any) -> None:
    """A reader gets NodeFinished before the output is written."""
    store = Watched()
    workflow = Workflow("flow", MemoryConfig(store))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write=["a", "b"]))
    seen: list[tuple[type[Event], int]] = []
    for event in stream(workflow):
        time.sleep(0.02)  # time for what must not happen
        seen.append((type(event), len(store.written)))
    assert seen[1:] == [(NodeFinished, 0), (MemoryWritten, 2), (WorkflowFinished, 2)]


class Meeting(Model):
    """Says its first word, meets the other, and says its last."""

    def __init__(self) -> None:
        self.threads = Barrier(2)
        self.tasks = asyncio.Barrier(2)

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text="first last")

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        yield TextDelta("first ")
        self.threads.wait(10)
        yield TextDelta("last")
        yield self.complete(request)

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        yield TextDelta("first ")
        await self.tasks.wait()
        yield TextDelta("last")
        yield self.complete(request)


def test_events_of_concurrent_nodes_interleave(workflow: Workflow, stream: Any) -> None:
    """Events of concurrent nodes come in the order in which they happen."""
    model = Meeting()
    workflow.add_node(LLMNode("a", model, "x"))
    workflow.add_node(LLMNode("b", model, "x"))
    said = [event for event in stream(workflow) if isinstance(event, NodeText)]
    assert {event.node_id for event in said[:2]} == {event.node_id for event in said[2:]} == {*"ab"}
    assert [event.text for event in said] == ["first ", "first ", "last", "last"]


def test_streams_of_one_workflow_are_independent(workflow: Workflow) -> None:
    """Streams of one workflow in several threads are independent."""
    workflow.add_node(LLMNode("n", Counting(), "x"))
    workflow.add_node(FunctionNode("who", lambda ctx: ctx.inputs["who"]))
    lock, found = Lock(), []

    def read(who: int) -> None:
        *events, last = workflow.stream({"who": who})
        said = "".join(event.text for event in events if isinstance(event, NodeText))
        assert isinstance(last, WorkflowFinished)
        with lock:
            found.append((who, last.result["who"], said == last.result["n"]))

    threads = [Thread(target=read, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found) == [(who, who, True) for who in range(8)]


def test_nested_streams(stream: Any) -> None:
    """A node may read the stream of another workflow, ten deep."""
    workflow = Workflow("inner")
    workflow.add_node(FunctionNode("n", lambda _: 1))
    for level in range(10):

        def below(_: Any, inner: Workflow = workflow) -> int:
            *_, last = inner.stream()
            assert isinstance(last, WorkflowFinished)
            return sum(last.result.values())

        workflow = Workflow(f"level-{level}")
        workflow.add_node(FunctionNode("a", below))
        workflow.add_node(FunctionNode("b", lambda _: 1))
    *_, last = stream(workflow)
    assert sum(last.result.values()) == 11
