"""Timeouts, of a node and of a workflow: what is late is left behind, and writes nothing."""

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
    """A function, and a model, that answers when it is told to."""

    def __init__(self) -> None:
        self.go = Event()
        self.ended = Event()

    def __call__(self, _: Any) -> str:
        self.go.wait(10)
        self.ended.set()
        return "late"


@pytest.mark.parametrize("kind", ["function", "model"])
def test_a_late_node(workflow: Workflow, execute: Any, kind: str) -> None:
    """A node over its timeout fails in time; what its function returns later is dropped."""
    late, after = Late(), []
    node: Any = (
        FunctionNode("n", late, timeout=0.1, memory_write="k", retry=3)
        if kind == "function"
        else LLMNode("n", late, "x", timeout=0.1, memory_write="k", retry=3)
    )
    workflow.add_node(node)
    workflow.add_node(FunctionNode("after", lambda _: after.append(1), dependencies=["n"]))
    start = time.monotonic()
    with pytest.raises(NodeExecutionError, match=r"exceeded its timeout of 0.1 s") as told:
        execute(workflow)
    assert time.monotonic() - start < 5
    assert isinstance(told.value.cause, WorkflowTimeoutError)
    late.go.set()
    assert late.ended.wait(60)
    assert (after, workflow.memory.list_keys()) == ([], [])


@pytest.mark.parametrize("kind", ["function", "model"])
def test_a_late_workflow(execute: Any, kind: str) -> None:
    """A run over the workflow's timeout is a WorkflowTimeoutError that names the node."""
    late = Late()
    workflow = Workflow("flow", timeout=0.1)
    node: Any = FunctionNode("n", late) if kind == "function" else LLMNode("n", late, "x")
    workflow.add_node(node)
    start = time.monotonic()
    with pytest.raises(WorkflowTimeoutError, match=r"timeout of 0.1 s; node 'n' was still running"):
        execute(workflow)
    assert time.monotonic() - start < 5
    late.go.set()


@pytest.mark.parametrize("whose", ["node", "workflow"])
def test_one_except_for_all_timeouts(execute: Any, whose: str) -> None:
    """A timeout, of a node or a run, is caught by its name, and tells what the others gave."""
    late = Late()
    workflow = Workflow("flow", timeout=0.1 if whose == "workflow" else None)
    workflow.add_node(FunctionNode("first", lambda _: 1))
    timeout = 0.1 if whose == "node" else None
    workflow.add_node(FunctionNode("n", late, dependencies=["first"], timeout=timeout))
    with pytest.raises(WorkflowTimeoutError) as told:
        execute(workflow)
    late.go.set()
    assert isinstance(told.value, NodeExecutionError)
    assert (told.value.node_id, told.value.results) == ("n", {"first": 1})
    assert list(told.value.trace) == ["first"]


def test_a_timeout_inside_a_function(workflow: Workflow, execute: Any) -> None:
    """A function whose own workflow was late has failed; this run was not late."""
    late = Late()
    inner = Workflow("inner", timeout=0.05)
    inner.add_node(FunctionNode("deep", late))
    workflow.add_node(FunctionNode("n", lambda _: inner.execute()))
    with pytest.raises(NodeExecutionError, match="WorkflowTimeoutError") as told:
        execute(workflow)
    late.go.set()
    assert not isinstance(told.value, WorkflowTimeoutError)


class HastyLoop(asyncio.SelectorEventLoop):
    """Its timers ring nearly 2 ms early, as uvloop's may."""

    def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        return super().call_at(when - 0.0018, *args, **kwargs)


@pytest.mark.parametrize("kind", ["function", "model"])
def test_a_timer_that_rings_early(kind: str) -> None:
    """A workflow is told as late also where the event loop's timers ring a little early."""
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
        pytest.raises(WorkflowTimeoutError, match=r"timeout of 0.1 s; node 'n' was still running"),
    ):
        runner.run(execute())
    late.go.set()


def test_a_late_async_function(workflow: Workflow) -> None:
    """An async function that is late is cancelled."""
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


def test_in_time(execute: Any) -> None:
    """What ends in time is not touched by its timeouts, whatever it returns or raises."""
    workflow = Workflow("flow", timeout=60)
    workflow.add_node(FunctionNode("n", lambda _: "fine", timeout=30))
    workflow.add_node(LLMNode("m", lambda request: request.prompt, "{{n}}", timeout=30))
    assert execute(workflow) == {"n": "fine", "m": "fine"}

    def fail(_: Any) -> None:
        raise TimeoutError

    workflow.add_node(FunctionNode("bad", fail, timeout=30))
    with pytest.raises(NodeExecutionError, match=r"node 'bad' failed: TimeoutError$"):
        execute(workflow)


def test_a_timeout_error_of_its_own(workflow: Workflow) -> None:
    """A TimeoutError that an async function raises in time is its own."""

    async def fail(_: Any) -> None:
        raise TimeoutError

    workflow.add_node(FunctionNode("n", fail, timeout=30))
    with pytest.raises(NodeExecutionError, match=r"node 'n' failed: TimeoutError$"):
        asyncio.run(workflow.aexecute())


def test_models_see_the_deadline(workflow: Workflow, execute: Any) -> None:
    """A request tells when its answer is due: the earlier of the node's and the workflow's."""
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


def test_a_cancelled_call_in_a_thread(workflow: Workflow) -> None:
    """What a late plain function returns, or raises, into a loop that went on is dropped."""
    late = Late()
    workflow.add_node(FunctionNode("n", late, timeout=0.05))

    async def main() -> None:
        with pytest.raises(NodeExecutionError):
            await workflow.aexecute()
        late.go.set()
        await asyncio.to_thread(late.ended.wait, 5)
        await asyncio.sleep(0.05)

    asyncio.run(main())


def test_what_failed_first_is_told(execute: Any) -> None:
    """A node that failed in time is told, also where the run's time is over by then."""
    workflow = Workflow("flow", timeout=0.3)

    def bad(_: Any) -> None:
        raise ValueError

    workflow.add_node(FunctionNode("bad", bad))
    workflow.add_node(FunctionNode("slow", lambda _: time.sleep(0.5)))
    with pytest.raises(NodeExecutionError, match="node 'bad' failed: ValueError"):
        execute(workflow)


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


def test_whose_timeout_it_was(execute: Any) -> None:
    """The chained cause of a late workflow does not speak of a timeout of None seconds."""
    workflow = Workflow("flow", timeout=0.1)
    workflow.add_node(FunctionNode("n", lambda _: time.sleep(0.3)))
    with pytest.raises(WorkflowTimeoutError) as told:
        execute(workflow)
    assert "None" not in str(told.value.__cause__)


def test_a_late_function_that_swallows_its_cancellation(workflow: Workflow) -> None:
    """What an async function returns after its timeout is dropped, though it would not end."""

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


def test_a_function_that_raises_what_a_timeout_raises(workflow: Workflow) -> None:
    """A TimeoutError of a function's own, within its time, is told as its own."""

    async def refused(_: Any) -> None:
        raise TimeoutError

    workflow.add_node(FunctionNode("n", refused, timeout=5))
    with pytest.raises(NodeExecutionError, match=r"node 'n' failed: TimeoutError") as told:
        asyncio.run(workflow.aexecute())
    assert isinstance(told.value.cause, TimeoutError)


class Obedient(Model):
    """A model that raises at the request's deadline, as its contract asks."""

    def complete(self, request: ModelRequest) -> Completion:
        assert request.deadline is not None
        time.sleep(max(0.0, request.deadline - time.monotonic()))
        raise ModelError("late", retryable=True)


def test_a_model_that_heeds_the_deadline(workflow: Workflow, execute: Any) -> None:
    """Whoever looks at the clock first, the model or the run, the error is the same."""
    workflow.add_node(LLMNode("n", Obedient(), "x", timeout=0.01))
    for _ in range(20):
        with pytest.raises(NodeExecutionError) as told:
            execute(workflow)
        assert isinstance(told.value.cause, WorkflowTimeoutError)


def test_memory_that_is_late_is_told_as_late(execute: Any) -> None:
    """A node whose time runs out while it reads memory is told as late, not as unlucky."""

    given: list[float] = []

    class Away(LocalStore):
        def read_many(self, addresses: Any, *, deadline: float) -> Any:
            given.append(deadline - time.monotonic())
            time.sleep(max(0.0, deadline - time.monotonic()))
            raise BackendUnavailableError("away")

    workflow = Workflow("flow", MemoryConfig(Away()))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_read=["k"], timeout=0.1))
    with pytest.raises(NodeExecutionError, match=r"exceeded its timeout of 0.1 s"):
        execute(workflow)
    assert all(seconds <= 0.1 for seconds in given)


def test_memory_that_is_away_is_told_as_away(execute: Any) -> None:
    """A fault of the store within the node's time is told as it is (C29)."""

    class Away(LocalStore):
        def read_many(self, addresses: Any, *, deadline: float) -> Any:
            raise BackendUnavailableError("away")

    workflow = Workflow("flow", MemoryConfig(Away()))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_read=["k"], timeout=60))
    with pytest.raises(NodeExecutionError, match="BackendUnavailableError: away"):
        execute(workflow)
