"""Timeouts of nodes and workflows: what exceeds them is abandoned, and writes nothing."""

import asyncio
import time
from collections.abc import Sequence
from threading import Event
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    ModelError,
    NodeExecutionError,
    Workflow,
    WorkflowTimeoutError,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Completion, Model, ModelRequest


class Late:
    """A function, and a model, that returns when the test lets it."""

    def __init__(self) -> None:
        self.go = Event()
        self.ended = Event()

    def __call__(self, _: Any) -> str:
        self.go.wait(10)
        self.ended.set()
        return "late"


@pytest.mark.parametrize("kind", ["function", "model"])
def test_node_timeout(workflow: Workflow, execute: Any, kind: str) -> None:
    """A node that exceeds its timeout fails in time; its function's later result is dropped."""
    late, after = Late(), []
    node: Any = (
        FunctionNode("n", late, timeout=0.1, memory_write="k", retry=3)
        if kind == "function"
        else LLMNode("n", late, "x", timeout=0.1, memory_write="k", retry=3)
    )
    workflow.add_node(node)
    workflow.add_node(FunctionNode("after", lambda _: after.append(1), dependencies=["n"]))
    start = time.monotonic()
    with pytest.raises(NodeExecutionError, match=r"exceeded its timeout of 0.1 s") as caught:
        execute(workflow)
    assert time.monotonic() - start < 5
    assert isinstance(caught.value.cause, WorkflowTimeoutError)
    late.go.set()
    assert late.ended.wait(60)
    assert (after, workflow.memory.list_keys()) == ([], [])


@pytest.mark.parametrize("kind", ["function", "model"])
def test_workflow_timeout(execute: Any, kind: str) -> None:
    """A run that exceeds the workflow's timeout is a WorkflowTimeoutError that names the node."""
    late = Late()
    workflow = Workflow("flow", timeout=0.1)
    node: Any = FunctionNode("n", late) if kind == "function" else LLMNode("n", late, "x")
    workflow.add_node(node)
    start = time.monotonic()
    with pytest.raises(WorkflowTimeoutError, match=r"timeout of 0.1 s; node 'n' had not finished"):
        execute(workflow)
    assert time.monotonic() - start < 5
    late.go.set()


@pytest.mark.parametrize("whose", ["node", "workflow"])
def test_workflow_timeout_error_covers_both_timeouts(execute: Any, whose: str) -> None:
    """WorkflowTimeoutError covers node and run timeouts, and has the other nodes' results."""
    late = Late()
    workflow = Workflow("flow", timeout=0.1 if whose == "workflow" else None)
    workflow.add_node(FunctionNode("first", lambda _: 1))
    timeout = 0.1 if whose == "node" else None
    workflow.add_node(FunctionNode("n", late, dependencies=["first"], timeout=timeout))
    with pytest.raises(WorkflowTimeoutError) as caught:
        execute(workflow)
    late.go.set()
    assert isinstance(caught.value, NodeExecutionError)
    assert (caught.value.node_id, caught.value.results) == ("n", {"first": 1})
    assert list(caught.value.trace) == ["first", "n"]


def test_timeout_of_a_nested_workflow(workflow: Workflow, execute: Any) -> None:
    """A function whose nested workflow timed out has failed; the outer run has not timed out."""
    late = Late()
    inner = Workflow("inner", timeout=0.05)
    inner.add_node(FunctionNode("deep", late))
    workflow.add_node(FunctionNode("n", lambda _: inner.execute()))
    with pytest.raises(NodeExecutionError, match="WorkflowTimeoutError") as caught:
        execute(workflow)
    late.go.set()
    assert not isinstance(caught.value, WorkflowTimeoutError)


class HastyLoop(asyncio.SelectorEventLoop):
    """Its timers ring nearly 2 ms early, as uvloop's may."""

    def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        return super().call_at(when - 0.0018, *args, **kwargs)


@pytest.mark.parametrize("kind", ["function", "model"])
def test_early_timer_is_still_a_timeout(kind: str) -> None:
    """A timeout is reported as one even if the event loop's timers fire a little early."""
    late = Late()
    workflow = Workflow("flow", timeout=0.1)
    node: Any = FunctionNode("n", late) if kind == "function" else LLMNode("n", late, "x")
    workflow.add_node(node)

    async def execute() -> None:
        run = asyncio.ensure_future(workflow.aexecute())
        while not run.done():  # noqa: ASYNC110 - else the loop's wait, in whole milliseconds, makes up for it
            await asyncio.sleep(0)
        await run

    with (
        asyncio.Runner(loop_factory=HastyLoop) as runner,
        pytest.raises(WorkflowTimeoutError, match=r"timeout of 0.1 s; node 'n' had not finished"),
    ):
        runner.run(execute())
    late.go.set()


def test_late_async_function_is_cancelled(workflow: Workflow) -> None:
    """An async function that exceeds its timeout is cancelled."""
    cancelled: list[int] = []

    async def late(_: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    workflow.add_node(FunctionNode("n", late, timeout=0.05))
    with pytest.raises(NodeExecutionError, match="WorkflowTimeoutError"):
        asyncio.run(workflow.aexecute())
    assert cancelled == [1]


def test_run_within_its_timeouts(execute: Any) -> None:
    """A run that ends in time is not affected by its timeouts, whatever it returns or raises."""
    workflow = Workflow("flow", timeout=60)
    workflow.add_node(FunctionNode("n", lambda _: "fine", timeout=30))
    workflow.add_node(LLMNode("m", lambda request: request.prompt, "{{n}}", timeout=30))
    assert execute(workflow) == {"n": "fine", "m": "fine"}

    def fail(_: Any) -> None:
        raise TimeoutError

    workflow.add_node(FunctionNode("bad", fail, timeout=30))
    with pytest.raises(NodeExecutionError, match=r"node 'bad' failed: TimeoutError$"):
        execute(workflow)


def test_request_has_the_deadline(workflow: Workflow, execute: Any) -> None:
    """A request has the earlier of the node's and the workflow's deadline."""
    seen: list[float | None] = []

    def model(request: Any) -> str:
        seen.append(request.deadline and request.deadline - time.monotonic())
        return ""

    workflow.add_node(LLMNode("n", model, "x"))
    execute(workflow)
    bounded = Workflow("bounded", timeout=50)
    bounded.add_node(LLMNode("own", model, "x", timeout=10))
    bounded.add_node(LLMNode("run", model, "{{own}}", timeout=100))
    bounded.add_node(LLMNode("none", model, "{{run}}"))
    execute(bounded)
    first, *rest = seen
    assert first is None
    for left, bound in zip(rest, (10, 50, 50), strict=True):
        assert left is not None
        assert bound - 5 < left <= bound


def test_late_result_of_a_sync_function_is_dropped(workflow: Workflow) -> None:
    """The late result or exception of a sync function is dropped while the loop goes on."""
    late = Late()
    workflow.add_node(FunctionNode("n", late, timeout=0.05))

    async def main() -> None:
        with pytest.raises(NodeExecutionError):
            await workflow.aexecute()
        late.go.set()
        await asyncio.to_thread(late.ended.wait, 5)
        await asyncio.sleep(0.05)

    asyncio.run(main())


def test_first_failure_is_reported(execute: Any) -> None:
    """A node that failed in time is reported, even if the run's timeout has passed by then."""
    workflow = Workflow("flow", timeout=0.3)

    def bad(_: Any) -> None:
        raise ValueError

    workflow.add_node(FunctionNode("bad", bad))
    workflow.add_node(FunctionNode("slow", lambda _: time.sleep(0.5)))
    with pytest.raises(NodeExecutionError, match="node 'bad' failed: ValueError"):
        execute(workflow)


def test_nothing_starts_after_the_deadline(execute: Any) -> None:
    """A function is not called if the run's deadline passed before its turn."""

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


def test_cause_names_the_timeout_that_was_exceeded(execute: Any) -> None:
    """The cause of a workflow's timeout does not mention a node timeout of None seconds."""
    workflow = Workflow("flow", timeout=0.1)
    workflow.add_node(FunctionNode("n", lambda _: time.sleep(0.3)))
    with pytest.raises(WorkflowTimeoutError) as caught:
        execute(workflow)
    assert "None" not in str(caught.value.__cause__)


def test_late_function_that_swallows_its_cancellation(workflow: Workflow) -> None:
    """What an async function returns late is dropped, even if it swallows its cancellation."""

    async def stubborn(_: Any) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "late"
        return "never"

    workflow.add_node(FunctionNode("n", stubborn, timeout=0.05, memory_write="k"))
    with pytest.raises(NodeExecutionError, match=r"timeout of 0.05 s"):
        asyncio.run(workflow.aexecute())
    assert workflow.memory.list_keys() == []


def test_timeout_error_of_an_async_function(workflow: Workflow) -> None:
    """A TimeoutError that an async function raises in time is reported as its own."""

    async def fail(_: Any) -> None:
        raise TimeoutError

    workflow.add_node(FunctionNode("n", fail, timeout=30))
    with pytest.raises(NodeExecutionError, match=r"node 'n' failed: TimeoutError$") as caught:
        asyncio.run(workflow.aexecute())
    assert isinstance(caught.value.cause, TimeoutError)


class Blocking(Model):
    """A model that blocks the event loop beyond the deadline, and then raises."""

    def complete(self, request: ModelRequest) -> Completion:
        raise AssertionError

    async def acomplete(self, request: ModelRequest) -> Completion:
        assert request.deadline is not None
        time.sleep(max(0.0, request.deadline - time.monotonic()))  # noqa: ASYNC251 - on purpose
        raise ModelError("late", retryable=True)


def test_model_that_raises_before_the_timer_rings(workflow: Workflow) -> None:
    """A model that raises after the deadline, before the run's own timer, has timed out."""
    workflow.add_node(LLMNode("n", Blocking(), "x", timeout=0.3, retry=3))
    with pytest.raises(NodeExecutionError) as caught:
        asyncio.run(workflow.aexecute())
    assert isinstance(caught.value.cause, WorkflowTimeoutError)
    assert isinstance(caught.value.cause.__cause__, ModelError)


class Obedient(Model):
    """A model that raises at the request's deadline, as its contract requires."""

    def complete(self, request: ModelRequest) -> Completion:
        assert request.deadline is not None
        time.sleep(max(0.0, request.deadline - time.monotonic()))
        raise ModelError("late", retryable=True)


def test_model_that_raises_at_the_deadline(workflow: Workflow, execute: Any) -> None:
    """A model that raises at the deadline gives the same error as the run's own timer."""
    workflow.add_node(LLMNode("n", Obedient(), "x", timeout=0.01))
    for _ in range(20):
        with pytest.raises(NodeExecutionError) as caught:
            execute(workflow)
        assert isinstance(caught.value.cause, WorkflowTimeoutError)


def test_slow_memory_is_a_timeout(execute: Any) -> None:
    """A node whose time runs out while it reads memory times out."""
    seconds_left: list[float] = []

    class Away(LocalStore):
        def read_many(self, addresses: Any, *, deadline: float) -> Any:
            seconds_left.append(deadline - time.monotonic())
            time.sleep(max(0.0, deadline - time.monotonic()))
            raise BackendUnavailableError("away")

    workflow = Workflow("flow", MemoryConfig(Away()))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_read=["k"], timeout=0.1))
    with pytest.raises(NodeExecutionError, match=r"exceeded its timeout of 0.1 s"):
        execute(workflow)
    assert all(seconds <= 0.1 for seconds in seconds_left)


def test_unavailable_memory_is_no_timeout(execute: Any) -> None:
    """An error of the store within the node's time is the cause of its error (C29)."""

    class Away(LocalStore):
        def read_many(self, addresses: Any, *, deadline: float) -> Any:
            raise BackendUnavailableError("away")

    workflow = Workflow("flow", MemoryConfig(Away()))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_read=["k"], timeout=60))
    with pytest.raises(NodeExecutionError, match="BackendUnavailableError: away"):
        execute(workflow)
