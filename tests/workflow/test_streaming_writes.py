"""Closing a stream early: a node's memory is written completely, or not at all."""

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


def test_close_after_the_output_was_read(workflow: Workflow, stream: Any) -> None:
    """A stream that is closed after its output was read does not write it."""
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write="k"))
    workflow.add_node(FunctionNode("after", lambda _: 1, dependencies=["n"], memory_write="l"))
    events = stream(workflow)
    until(events, NodeFinished)
    events.close()
    time.sleep(0.05)
    assert workflow.memory.list_keys() == []


def test_result_after_close_is_dropped(workflow: Workflow, stream: Any) -> None:
    """What a function returns after close() is dropped, and the run ends with the function."""
    begun, go, ended = Event(), Event(), Event()

    class Value:
        pass

    value = Value()
    reference = weakref.ref(value)

    def late(_: Any) -> None:
        begun.set()
        assert go.wait(60)
        ended.set()

    workflow.add_node(FunctionNode("n", late, memory_write="k"))
    workflow.add_node(FunctionNode("after", lambda _: 1, dependencies=["n"], memory_write="l"))
    workflow.add_node(LLMNode("beside", Endless(), "x"))
    events = stream(workflow, {"value": value})
    del value
    while not begun.is_set():
        until(events, NodeText, "beside")
    events.close()
    assert reference() is not None
    go.set()
    assert ended.wait(60)
    assert soon(lambda: gc.collect() >= 0 and reference() is None)
    assert workflow.memory.list_keys() == []


def test_close_waits_for_a_write(stream: Any) -> None:
    """A node that writes its first record writes its last before close() returns."""
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


def test_cancelled_reader_waits_for_a_write() -> None:
    """A cancelled reader waits until a node that writes has written its last record."""
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


def test_repeated_cancellation_does_not_split_a_write() -> None:
    """A reader that is cancelled repeatedly leaves no node's records half written."""
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
    """If a node raises SystemExit, it is raised at once, and no other node writes."""
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
    with pytest.raises(SystemExit) as caught:
        read(workflow)
    assert caught.value.code == 3
    go.set()
    assert ended.wait(60)
    time.sleep(0.05)
    assert workflow.memory.list_keys() == []


def test_nothing_is_written_after_close(workflow: Workflow) -> None:
    """Wherever a stream is closed, nothing is written after that, and no thread is left."""
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
