"""Streams that a fork or a signal interrupts."""

import gc
import os
import signal
import time
import weakref
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from forks import in_child
from streams import Endless

from fibonacci import FunctionNode, LLMNode, NodeStarted, NodeText, Workflow, WorkflowError
from fibonacci._workflow import streaming

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]


def test_forked_child_can_not_read_its_parents_stream() -> None:
    """A forked child can't read its parent's stream; its own streams are complete."""
    workflow, model = Workflow("flow"), Endless()
    workflow.add_node(LLMNode("n", model, "x"))
    events = workflow.stream()
    assert [next(events), next(events)] == [NodeStarted("n"), NodeText("n", "word ")]

    def child() -> bool:
        with pytest.raises(WorkflowError, match="a forked child can't read a stream of its parent"):
            next(events)
        own = workflow.stream()
        assert [next(own), next(own)] == [NodeStarted("n"), NodeText("n", "word ")]
        own.close()
        return True

    in_child(child)

    def child_that_closes() -> bool:
        events.close()
        return model.closed == 0

    in_child(child_that_closes)
    assert next(events) == NodeText("n", "word ")
    events.close()
    assert model.closed == 1


def test_ctrl_c_while_waiting_for_an_event() -> None:
    """next() raises a signal's exception at once; the run stops, and writes nothing."""
    workflow = Workflow("flow")
    go, ended = Event(), Event()

    def interrupting(_: Any) -> None:
        time.sleep(0.1)  # by then the reader waits
        os.kill(os.getpid(), signal.SIGINT)
        assert go.wait(10)
        ended.set()

    workflow.add_node(FunctionNode("n", interrupting, memory_write="k"))
    workflow.add_node(FunctionNode("after", lambda _: 1, dependencies=["n"], memory_write="l"))
    events = workflow.stream()
    assert next(events) == NodeStarted("n")
    with pytest.raises(KeyboardInterrupt):
        next(events)
    with pytest.raises(StopIteration):
        next(events)
    go.set()
    assert ended.wait(60)
    time.sleep(0.05)
    assert workflow.memory.list_keys() == []


def test_ctrl_c_while_the_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal between the start of a run and its first event leaves no waiting run behind."""
    submit_to_thread = streaming.submit_to_thread

    def interrupted(task: Callable[[], None]) -> None:
        submit_to_thread(task)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(streaming, "submit_to_thread", interrupted)
    workflow = Workflow("flow")
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write="k"))

    class Value:
        pass

    value = Value()
    reference = weakref.ref(value)
    events = workflow.stream({"value": value})
    with pytest.raises(KeyboardInterrupt):
        next(events)
    del value, events
    for _ in range(500):
        gc.collect()
        if reference() is None:
            break
        time.sleep(0.01)
    assert reference() is None
    assert workflow.memory.list_keys() == []
