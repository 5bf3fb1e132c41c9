"""Streams that are not read to their end: garbage, exit of Python, forks, threads."""

import gc
import os
import subprocess
import sys
import threading
from threading import Event, Thread
from typing import Any

import pytest
from streams import Endless, Slow, soon, until

from fibonacci import (
    FibonacciError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    NodeFinished,
    NodeText,
    Workflow,
    WorkflowError,
)
from fibonacci.plugin import Address
from fibonacci.plugin._runtime import threads as workers


def test_garbage_stream_is_closed(workflow: Workflow) -> None:
    """A stream that is garbage is closed, in whatever thread it is collected."""
    model = Endless()
    collect, collected = Event(), Event()

    def collecting(_: Any) -> None:
        assert collect.wait(60)
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
        assert collected.wait(60)
    finally:
        gc.enable()
    assert model.closed == 1


def test_stream_collected_in_the_thread_of_its_writer() -> None:
    """A node that writes goes on if its own stream is collected in its thread."""
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
        assert collected.wait(60)
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
        time.sleep(600)

writing = threading.Event()
workflow = Workflow("flow", MemoryConfig(Slow()))
workflow.add_node(FunctionNode("n", lambda _: 1, memory_write="k"))
workflow.add_node(FunctionNode("m", lambda _: writing.wait(60)))
events = workflow.stream()
for _ in range(4):
    next(events)
assert writing.wait(60)
"""


def test_open_stream_does_not_block_exit() -> None:
    """An open stream does not keep Python from ending: threads that are gone are not waited for."""
    left = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=120
    )
    assert (left.returncode, left.stderr) == (0, "")


def test_stream_without_a_thread(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system has no thread left, a stream raises WorkflowError."""
    monkeypatch.setattr(workers, "_workers", workers.Workers())  # it has no idle worker
    workflow.add_node(FunctionNode("n", lambda _: 1))
    threading.stack_size(1 << 46)  # no system has that much: no thread starts
    try:
        with pytest.raises(WorkflowError, match="no thread"):
            next(workflow.stream())
    finally:
        threading.stack_size(0)


def test_close_in_a_forked_child(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a forked child, which lacks the run's threads, close() waits for nothing."""
    workflow.add_node(LLMNode("n", Endless(), "x"))
    events, others = workflow.stream(), workflow.stream()
    until(events, NodeText)
    until(others, NodeText)
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: 0)
        others.close()
        with pytest.raises(WorkflowError, match="a forked child can't read a stream of its parent"):
            next(events)


def test_close_from_another_thread(workflow: Workflow) -> None:
    """Another thread may close a stream."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x"))
    events = workflow.stream()
    until(events, NodeText)
    closer = Thread(target=events.close)
    closer.start()
    closer.join(60)
    assert model.closed == 1
    with pytest.raises(StopIteration):
        next(events)
    assert issubclass(WorkflowError, FibonacciError)
