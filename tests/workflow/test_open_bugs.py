"""What is promised and not kept yet: each test fails until its bug is mended."""

import asyncio
import pickle
import threading
import time
from collections.abc import Sequence
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from fibonacci import (
    FibonacciError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    ModelError,
    NodeExecutionError,
    Retry,
    Workflow,
    WorkflowTimeoutError,
    register_plugin,
)
from fibonacci._builtin.echo import Echo
from fibonacci._builtin.local import LocalStore
from fibonacci._workflow import workers
from fibonacci.plugin import Address, Completion, Model, ModelRequest, ModelSettings, hookimpl


class Plain(Model):
    """A model without an async voice of its own, as most are; it does what it is told."""

    def __init__(self, work: Any) -> None:
        self.work = work

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=str(self.work()))


def test_a_model_that_raises_stop_iteration(workflow: Workflow) -> None:
    """A Model whose ``complete`` raises StopIteration fails its node in the async voice, too."""
    workflow.add_node(LLMNode("n", Plain(lambda: next(iter([]))), "x"))
    with pytest.raises(NodeExecutionError):
        asyncio.run(asyncio.wait_for(workflow.aexecute(), 2))


def test_models_run_side_by_side(workflow: Workflow) -> None:
    """40 nodes that ask plain Models run at once in the async voice, as 40 functions do."""
    together = Barrier(40)
    model = Plain(lambda: together.wait(2))
    for number in range(40):
        workflow.add_node(LLMNode(f"n{number}", model, "x"))
    assert len(asyncio.run(workflow.aexecute())) == 40


def test_a_late_model_holds_nobody_up(workflow: Workflow) -> None:
    """A plain Model that is late is left behind, by the end of the event loop as well."""
    go = Event()
    workflow.add_node(LLMNode("n", Plain(lambda: go.wait(5)), "x", timeout=0.1))
    start = time.monotonic()
    with pytest.raises(NodeExecutionError):
        asyncio.run(workflow.aexecute())
    took = time.monotonic() - start
    go.set()
    assert took < 4


def test_no_node_is_lost(workflow: Workflow) -> None:
    """A node that is added while an execution prepares is part of the next one."""

    class Provider:
        FIBONACCI_SPEC_VERSION = 1

        @hookimpl
        def fibonacci_model(self, settings: ModelSettings) -> Model:
            if len(workflow.nodes) == 1:  # stands for another thread that adds one just now
                workflow.add_node(LLMNode("late", "echo", "x"))
            return Echo()

    with register_plugin("models", "provider", Provider()):
        workflow.add_node(LLMNode("n", "provider", "x"))
        workflow.execute()
        assert [*workflow.execute()] == ["n", "late"]


def test_a_thread_that_can_not_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads, a run ends, with an error of ours or its results."""
    monkeypatch.setattr(workers, "_workers", workers.Workers())  # none is at rest in it
    workflow, ended = Workflow("flow"), []
    started, go = Event(), Event()

    def exhaust(_: Any) -> None:
        assert started.wait(5)
        threading.stack_size(1 << 46)  # no system has that much: no thread starts

    def hold(_: Any) -> None:
        started.set()
        go.wait(10)

    workflow.add_node(FunctionNode("hold", hold))
    workflow.add_node(FunctionNode("exhaust", exhaust))
    for node_id in "abc":
        workflow.add_node(FunctionNode(node_id, lambda _: 1, dependencies=["exhaust"]))

    def run() -> None:
        try:
            ended.append(workflow.execute())
        except FibonacciError as fault:
            ended.append(fault)

    thread = Thread(target=run, daemon=True)
    thread.start()
    time.sleep(0.3)
    threading.stack_size(0)
    go.set()
    thread.join(5)
    assert ended


def test_keys_of_digits(workflow: Workflow) -> None:
    """``{{memory.0}}`` is the key "0", once the node reads it."""
    workflow.memory.set("0", "zero")
    workflow.add_node(LLMNode("n", "echo", "{{memory.0}}", memory_read=["0"]))
    assert workflow.execute()["n"] == "zero"


def test_what_failed_first_is_told(execute: Any) -> None:
    """A node that failed in time is told, also where the run's time is over by then."""
    workflow = Workflow("flow", timeout=0.3)

    def bad(_: Any) -> None:
        raise ValueError

    workflow.add_node(FunctionNode("bad", bad))
    workflow.add_node(FunctionNode("slow", lambda _: time.sleep(0.5)))
    with pytest.raises(NodeExecutionError, match="node 'bad' failed: ValueError"):
        execute(workflow)


def test_abandoned_attempts(workflow: Workflow) -> None:
    """After Ctrl-C, a node beside that fails is not tried again."""
    calls: list[int] = []
    running, go = Event(), Event()

    def beside(_: Any) -> None:
        calls.append(1)
        running.set()
        assert go.wait(5)
        raise OSError

    def interrupted(_: Any) -> None:
        assert running.wait(5)
        raise KeyboardInterrupt

    workflow.add_node(FunctionNode("here", interrupted))
    workflow.add_node(FunctionNode("beside", beside, retry=Retry(attempts=5, backoff=0)))
    with pytest.raises(KeyboardInterrupt):
        workflow.execute()
    go.set()
    time.sleep(0.2)
    assert calls == [1]


def test_abandoned_between_two_writes() -> None:
    """After Ctrl-C, a node that was writing its first record does not write its second."""
    writing, go = Event(), Event()

    class Slow(LocalStore):
        def write(self, address: Address, *args: Any, **kwargs: Any) -> None:
            writing.set()
            assert go.wait(5)
            super().write(address, *args, **kwargs)

    workflow = Workflow("flow", MemoryConfig(Slow()))

    def interrupted(_: Any) -> None:
        assert writing.wait(5)
        raise KeyboardInterrupt

    workflow.add_node(FunctionNode("here", interrupted))
    workflow.add_node(FunctionNode("beside", lambda _: 1, memory_write=["first", "second"]))
    with pytest.raises(KeyboardInterrupt):
        workflow.execute()
    go.set()
    time.sleep(0.2)
    assert not workflow.memory.exists("second")


def test_a_cancellation_that_is_swallowed(workflow: Workflow) -> None:
    """A function that swallows a cancellation does not make the run go on."""
    ran: list[int] = []

    async def stubborn(_: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    workflow.add_node(FunctionNode("n", stubborn, memory_write="k"))
    workflow.add_node(FunctionNode("after", lambda _: ran.append(1), dependencies=["n"]))

    async def main() -> None:
        task = asyncio.create_task(workflow.aexecute())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert (ran, workflow.memory.list_keys()) == ([], [])


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_numbers_that_are_no_json(workflow: Workflow, value: Any) -> None:
    """NaN and Infinity are not written as null into a prompt: JSON has no form for them (C27)."""
    workflow.add_node(LLMNode("n", "echo", "{{input.x}}"))
    with pytest.raises(NodeExecutionError, match=r"JSON has no form for what 'input.x' is"):
        workflow.execute({"x": value})


def test_nothing_starts_after_the_deadline(execute: Any) -> None:
    """A function is not called where the run's time was over before its turn came."""

    class Slow(LocalStore):
        def read_many(self, addresses: Sequence[Address], *, deadline: float) -> Any:
            time.sleep(0.3)
            return super().read_many(addresses, deadline=deadline)

    called: list[int] = []
    workflow = Workflow("flow", MemoryConfig(Slow()), timeout=0.1)
    workflow.add_node(FunctionNode("n", lambda _: called.append(1), memory_read=["k"]))
    with pytest.raises(WorkflowTimeoutError):
        execute(workflow)
    time.sleep(0.1)
    assert called == []


def test_a_pause_without_end(workflow: Workflow) -> None:
    """A provider that asks for a pause without end gets none: its own error is told."""

    def model(_: Any) -> str:
        raise ModelError("busy", retryable=True, retry_after=float("inf"))

    workflow.add_node(LLMNode("n", model, "x", retry=2))
    with pytest.raises(NodeExecutionError, match="ModelError: busy"):
        workflow.execute()


def test_a_model_that_returns_no_completion(workflow: Workflow, execute: Any) -> None:
    """A Model that returns something else is told as such, and is not asked again."""
    calls: list[int] = []

    class Wrong(Model):
        def complete(self, request: ModelRequest) -> Any:
            calls.append(1)
            return "text"

    workflow.add_node(LLMNode("n", Wrong(), "x", retry=Retry(backoff=0)))
    with pytest.raises(NodeExecutionError, match="Completion, not str"):
        execute(workflow)
    assert calls == [1]


def test_a_completion_without_text(workflow: Workflow, execute: Any) -> None:
    """An answer's text is text; a Completion of anything else fails its node."""
    wrong: Any = 5
    workflow.add_node(LLMNode("n", lambda _: Completion(text=wrong), "x"))
    with pytest.raises(FibonacciError):
        execute(workflow)


REPRS: list[Any] = [
    ModelRequest(prompt="secret"),
    ModelRequest(prompt="x", system_prompt="secret"),
    Completion(text="secret"),
    FunctionNode("n", print, memory_read=[{"key": "k", "default": "secret"}]),
]


@pytest.mark.parametrize("one", REPRS, ids=range(len(REPRS)))
def test_reprs_without_values(one: Any) -> None:
    """What a model is asked and answers, and a default of memory, stand in no repr (C23)."""
    assert "secret" not in repr(one)


def test_two_records_are_drawn_as_two(workflow: Workflow) -> None:
    """The key "user: k" and the user's own "k" are two records in a drawing."""
    workflow.add_node(
        FunctionNode(
            "n", print, memory_read=["user: k", {"key": "k", "scope": "user", "as": "own"}]
        )
    )
    assert workflow.to_mermaid().count("[(") == 2


def test_an_error_with_a_cause_that_does_not_pickle(workflow: Workflow, execute: Any) -> None:
    """An error can go to another process whatever its cause is."""

    class Local(Exception):  # noqa: N818 - of nobody's tree
        pass

    def fail(_: Any) -> None:
        raise Local

    workflow.add_node(FunctionNode("n", fail))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    assert str(pickle.loads(pickle.dumps(told.value))) == "node 'n' failed: Local"


def test_models_stay_when_nodes_are_added(workflow: Workflow) -> None:
    """A provider is asked once for a name and a workflow, as its hook says: scripts go on."""
    workflow.add_node(LLMNode("a", 'scripted:["one", "two"]', "x"))
    workflow.execute()
    workflow.add_node(LLMNode("b", "echo", "x"))
    assert workflow.execute()["a"] == "two"


def test_whose_timeout_it_was(execute: Any) -> None:
    """The chained cause of a late workflow does not speak of a timeout of None seconds."""
    workflow = Workflow("flow", timeout=0.1)
    workflow.add_node(FunctionNode("n", lambda _: time.sleep(0.3)))
    with pytest.raises(WorkflowTimeoutError) as told:
        execute(workflow)
    assert "None" not in str(told.value.__cause__)
