"""Closing a stream early: the run stops where it is, and nothing is written half."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, suppress
from threading import Event, Thread, Timer
from typing import Any

import pytest

from fibonacci import (
    FibonacciError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    ModelError,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeText,
    Retry,
    Workflow,
    WorkflowError,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Completion, Model, ModelRequest, TextDelta
from fibonacci.plugin import _workers as workers


class Endless(Model):
    """Says one word for ever, and knows whether it was stopped."""

    def __init__(self) -> None:
        self.said = 0
        self.closed = 0

    def complete(self, request: ModelRequest) -> Completion:
        raise ModelError("there is no end")

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        try:
            while True:
                self.said += 1
                yield TextDelta("word ")
        finally:
            self.closed += 1

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        try:
            while True:
                self.said += 1
                yield TextDelta("word ")
        finally:
            await asyncio.sleep(0)
            self.closed += 1


def until(events: Any, kind: type, node_id: str = "n") -> None:
    """Read up to an event of this kind."""
    for event in events:
        if isinstance(event, kind) and event.node_id == node_id:
            return
    raise AssertionError


def soon(condition: Any) -> bool:
    """Say whether it comes true within five seconds."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_closing_stops_the_model(workflow: Workflow, stream: Any) -> None:
    """When close returns, the model's stream is closed, and nothing will be written."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x", memory_write="k", retry=3))
    events = stream(workflow)
    until(events, NodeText)
    events.close()
    assert (model.said, model.closed) == (1, 1)
    time.sleep(0.05)  # what must not happen would happen now
    assert (model.said, workflow.memory.list_keys()) == (1, [])
    assert list(events) == []


@pytest.mark.parametrize("timeout", [None, 60])
def test_closing_stops_all_models(stream: Any, timeout: float | None) -> None:
    """The same for many nodes at once, also for those with a timeout."""
    workflow, model = Workflow("flow"), Endless()
    for number in range(10):
        workflow.add_node(LLMNode(f"n{number}", model, "x", timeout=timeout))
    events = stream(workflow)
    for number in range(10):
        until(events, NodeText, f"n{number}")
    assert soon(lambda: model.said >= 10)
    events.close()
    assert soon(lambda: model.closed == 10)


def test_leaving_the_loop(workflow: Workflow) -> None:
    """A break, or an exception in the loop's body, closes the stream at once."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x"))
    for event in workflow.stream():
        if isinstance(event, NodeText):
            break
    assert model.closed == 1
    with suppress(ZeroDivisionError):
        for event in workflow.stream():
            if isinstance(event, NodeText):
                raise ZeroDivisionError
    assert model.closed == 2


def test_leaving_an_async_loop(workflow: Workflow) -> None:
    """The loop closes what is left; aclosing does it at once."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x"))

    async def main() -> None:
        async for event in workflow.astream():
            if isinstance(event, NodeText):
                break
        for _ in range(20):
            await asyncio.sleep(0)
        assert model.closed == 1
        async with aclosing(workflow.astream()) as events:
            async for event in events:
                if isinstance(event, NodeText):
                    break
        assert (model.closed, len(asyncio.all_tasks())) == (2, 1)

    asyncio.run(main())


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_reader_that_is_cancelled(workflow: Workflow, how: str) -> None:
    """A cancelled reader stops the run: models, async functions, and what would be written."""
    ended: list[str] = []

    async def wait(_: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append("wait")

    model = Endless()
    workflow.add_node(LLMNode("n", model, "x", memory_write="n"))
    workflow.add_node(FunctionNode("beside", wait, memory_write="beside"))

    async def read() -> None:
        async with asyncio.timeout(0.05 if how == "timeout" else None):
            async for _ in workflow.astream():
                await asyncio.sleep(0.001)

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        if how == "cancel":
            task.cancel()
        with pytest.raises(asyncio.CancelledError if how == "cancel" else TimeoutError):
            await task
        # The loop closes in a task what is left of a generator.
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([left])

    asyncio.run(main())
    assert (model.closed, ended, workflow.memory.list_keys()) == (1, ["wait"], [])


def test_cancelled_in_silence(workflow: Workflow) -> None:
    """A model that says nothing is stopped at once, in the async voice."""
    stopped: list[int] = []

    class Silent(Endless):
        async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
            try:
                await asyncio.sleep(60)
            finally:
                stopped.append(1)
            yield TextDelta("never")

    workflow.add_node(LLMNode("n", Silent(), "x"))

    async def main() -> None:
        async with aclosing(workflow.astream()) as events:
            assert await anext(events) == NodeStarted("n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.05)
            assert stopped == [1]

    asyncio.run(main())


def test_after_the_output_was_read(workflow: Workflow, stream: Any) -> None:
    """Whoever has read an output, and does not want it, closes: it is not written."""
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write="k"))
    workflow.add_node(FunctionNode("after", lambda _: 1, dependencies=["n"], memory_write="l"))
    events = stream(workflow)
    until(events, NodeFinished)
    events.close()
    time.sleep(0.05)
    assert workflow.memory.list_keys() == []


def test_a_function_that_goes_on(workflow: Workflow, stream: Any) -> None:
    """What a function returns after the end is dropped, and so is the run when it has returned."""
    begun, go, ended = Event(), Event(), Event()

    class Given:
        pass

    given = Given()
    kept = weakref.ref(given)

    def late(_: Any) -> None:
        begun.set()
        assert go.wait(10)
        ended.set()

    workflow.add_node(FunctionNode("n", late, memory_write="k"))
    workflow.add_node(FunctionNode("after", lambda _: 1, dependencies=["n"], memory_write="l"))
    workflow.add_node(LLMNode("beside", Endless(), "x"))
    events = stream(workflow, {"given": given})
    del given
    while not begun.is_set():
        until(events, NodeText, "beside")
    events.close()
    assert kept() is not None
    go.set()
    assert ended.wait(5)
    assert soon(lambda: gc.collect() >= 0 and kept() is None)
    assert workflow.memory.list_keys() == []


def test_a_node_that_would_be_tried_again(workflow: Workflow, stream: Any) -> None:
    """No attempt is made after the end, also where the pause before it had begun."""
    calls: list[int] = []

    def flaky(_: Any) -> None:
        calls.append(1)
        raise OSError

    workflow.add_node(FunctionNode("n", flaky, retry=Retry(attempts=5, backoff=0.05, jitter=0)))
    workflow.add_node(LLMNode("beside", Endless(), "x"))
    events = stream(workflow)
    until(events, NodeRetried)
    until(events, NodeText, "beside")
    until(events, NodeText, "beside")
    events.close()
    time.sleep(0.3)
    assert calls == [1]


class Slow(LocalStore):
    """Its writes wait until they may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = Event()
        self.go = Event()

    def write(self, address: Address, *args: Any, **kwargs: Any) -> None:
        self.writing.set()
        assert self.go.wait(10)
        super().write(address, *args, **kwargs)


def test_a_write_that_has_begun(stream: Any) -> None:
    """A node that writes its first record writes its last, before close returns."""
    store = Slow()
    workflow = Workflow("flow", MemoryConfig(store))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write=["first", "second"]))
    workflow.add_node(LLMNode("beside", Endless(), "x", memory_write="third"))
    events = stream(workflow)
    until(events, NodeFinished)
    while not store.writing.is_set():
        until(events, NodeText, "beside")
    Timer(0.1, store.go.set).start()
    events.close()
    assert workflow.memory.list_keys() == ["first", "second"]


def test_a_write_that_has_begun_where_the_reader_is_cancelled() -> None:
    """The same where a task is cancelled while it waits for an event."""
    store = Slow()
    workflow = Workflow("flow", MemoryConfig(store))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write=["first", "second"]))

    async def main() -> None:
        async with aclosing(workflow.astream()) as events:
            async with asyncio.timeout(0.05):
                async for _ in events:
                    pass

    Timer(0.2, store.go.set).start()
    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert workflow.memory.list_keys() == ["first", "second"]


def test_a_reader_that_is_cancelled_over_and_over() -> None:
    """A reader that does not wait for the end, either, leaves no record half written."""
    store = Slow()
    workflow = Workflow("flow", MemoryConfig(store))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write=["first", "second"]))
    cancelled: list[str] = []

    async def beside(_: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.extend(workflow.memory.list_keys())

    workflow.add_node(FunctionNode("beside", beside))

    async def read() -> None:
        async for _ in workflow.astream():
            pass

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.to_thread(store.writing.wait, 5)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert workflow.memory.list_keys() == []
        store.go.set()
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([left], timeout=5)
        assert cancelled == ["first", "second"]

    asyncio.run(main())


def read_all(workflow: Workflow) -> None:
    for _ in workflow.stream():
        pass


def read_all_in_a_loop(workflow: Workflow) -> None:
    async def read() -> None:
        async for _ in workflow.astream():
            pass

    asyncio.run(read())


@pytest.mark.parametrize("read", [read_all, read_all_in_a_loop])
def test_no_write_begins_after_an_interruption(workflow: Workflow, read: Any) -> None:
    """Where a node raises what is no Exception, it is raised at once, and no other node writes."""
    begun, go, ended = Event(), Event(), Event()

    def leave(_: Any) -> None:
        assert begun.wait(5)
        raise SystemExit(3)

    def beside(_: Any) -> None:
        begun.set()
        assert go.wait(10)
        ended.set()

    workflow.add_node(FunctionNode("n", leave))
    workflow.add_node(FunctionNode("beside", beside, memory_write="k"))
    with pytest.raises(SystemExit) as told:
        read(workflow)
    assert told.value.code == 3
    go.set()
    assert ended.wait(5)
    time.sleep(0.05)
    assert workflow.memory.list_keys() == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
def test_an_interruption_in_a_node(workflow: Workflow, kind: type[BaseException]) -> None:
    """What a node raises comes out where the stream is read, whatever it is."""

    def interrupted(_: Any) -> None:
        raise kind

    workflow.add_node(FunctionNode("n", interrupted))
    events = workflow.stream()
    assert next(events) == NodeStarted("n")
    with pytest.raises(kind):
        next(events)


def test_a_stream_that_is_garbage(workflow: Workflow) -> None:
    """A stream that nobody can reach any more is closed, in whatever thread that is found."""
    model = Endless()
    collect, collected = Event(), Event()

    def collecting(_: Any) -> None:
        assert collect.wait(5)
        gc.collect()
        collected.set()

    workflow.add_node(FunctionNode("a", collecting))
    workflow.add_node(LLMNode("n", model, "x"))
    gc.disable()
    try:
        circle: list[Any] = [workflow.stream()]
        until(circle[0], NodeText)
        circle.append(circle)
        del circle
        collect.set()
        assert collected.wait(5)
    finally:
        gc.enable()
    assert model.closed == 1


def test_a_stream_that_is_garbage_while_it_writes() -> None:
    """A node that writes, and in whose thread its own stream is found to be garbage, goes on."""
    collected = Event()

    class Collecting(Slow):
        def write(self, address: Address, *args: Any, **kwargs: Any) -> None:
            super().write(address, *args, **kwargs)
            gc.collect()
            collected.set()

    store = Collecting()
    workflow = Workflow("flow", MemoryConfig(store))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write=["first", "second"]))
    workflow.add_node(LLMNode("beside", Endless(), "x"))
    gc.disable()
    try:
        circle: list[Any] = [workflow.stream()]
        until(circle[0], NodeFinished)
        while not store.writing.is_set():
            until(circle[0], NodeText, "beside")
        circle.append(circle)
        del circle
        store.go.set()
        assert collected.wait(5)
    finally:
        gc.enable()
    assert soon(lambda: workflow.memory.list_keys() == ["first", "second"])


LEFT_OPEN = """
import threading, time
from fibonacci import FunctionNode, LLMNode, MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore

class Slow(LocalStore):
    def write(self, *args, **kwargs):
        writing.set()
        time.sleep(60)

writing = threading.Event()
workflow = Workflow("flow", MemoryConfig(Slow()))
workflow.add_node(FunctionNode("n", lambda _: 1, memory_write="k"))
workflow.add_node(FunctionNode("m", lambda _: writing.wait(5)))
events = workflow.stream()
for _ in range(4):
    next(events)
assert writing.wait(5)
"""


def test_a_stream_that_is_open_when_python_ends() -> None:
    """It keeps nothing from its end: threads that are gone are not waited for."""
    left = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=20
    )
    assert (left.returncode, left.stderr) == (0, "")


def test_no_thread_for_the_run(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, an error of ours says so."""
    monkeypatch.setattr(workers, "_workers", workers.Workers())  # none is at rest in it
    workflow.add_node(FunctionNode("n", lambda _: 1))
    threading.stack_size(1 << 46)  # no system has that much: no thread starts
    try:
        with pytest.raises(WorkflowError, match="no thread"):
            next(workflow.stream())
    finally:
        threading.stack_size(0)


def test_a_process_that_is_another(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a forked child, where the run's threads are not, nothing is waited for."""
    workflow.add_node(LLMNode("n", Endless(), "x"))
    events, others = workflow.stream(), workflow.stream()
    until(events, NodeText)
    until(others, NodeText)
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: 0)
        others.close()
        with pytest.raises(WorkflowError, match="a forked child can't follow it"):
            next(events)


def test_closing_beside_everything(workflow: Workflow) -> None:
    """Wherever a stream is closed, no memory is written after that, and no thread is left over."""
    for number in range(3):
        workflow.add_node(FunctionNode(f"f{number}", lambda _: 1, memory_write=f"k{number}"))
        workflow.add_node(
            LLMNode(f"m{number}", "echo", f"{{{{f{number}}}}}", memory_write=f"l{number}")
        )
    before = threading.active_count()
    for stop in range(22):
        workflow.memory.clear()
        events = workflow.stream()
        for _ in range(stop):
            next(events)
        events.close()
        known = workflow.memory.list_keys()
        time.sleep(0.005)
        assert workflow.memory.list_keys() == known
    assert threading.active_count() <= before + workers.KEPT


def test_closing_from_another_thread(workflow: Workflow) -> None:
    """A stream is closed by whoever has it."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x"))
    events = workflow.stream()
    until(events, NodeText)
    closer = Thread(target=events.close)
    closer.start()
    closer.join(5)
    assert model.closed == 1
    with pytest.raises(StopIteration):
        next(events)
    assert issubclass(WorkflowError, FibonacciError)
