"""Closing a stream early: memory is written whole, or not at all."""

import asyncio
import gc
import threading
import time
import weakref
from contextlib import aclosing
from threading import Event, Timer
from typing import Any

import pytest
from streams import Endless, Slow, soon, until

from fibonacci import (
    FunctionNode,
    LLMNode,
    MemoryConfig,
    NodeFinished,
    NodeText,
    Workflow,
)
from fibonacci.plugin._runtime import threads as workers


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
        assert go.wait(60)
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
    assert ended.wait(60)
    assert soon(lambda: gc.collect() >= 0 and kept() is None)
    assert workflow.memory.list_keys() == []


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
        await asyncio.to_thread(store.writing.wait, 60)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert workflow.memory.list_keys() == []
        store.go.set()
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([left], timeout=60)
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
        assert begun.wait(60)
        raise SystemExit(3)

    def beside(_: Any) -> None:
        begun.set()
        assert go.wait(60)
        ended.set()

    workflow.add_node(FunctionNode("n", leave))
    workflow.add_node(FunctionNode("beside", beside, memory_write="k"))
    with pytest.raises(SystemExit) as told:
        read(workflow)
    assert told.value.code == 3
    go.set()
    assert ended.wait(60)
    time.sleep(0.05)
    assert workflow.memory.list_keys() == []


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
    assert threading.active_count() <= before + workers.MAX_IDLE
