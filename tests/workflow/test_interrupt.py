"""Interruptions: Ctrl-C, cancellation, and functions that raise a BaseException."""

import asyncio
import logging
import time
from threading import Event
from typing import Any

import pytest

from fibonacci import FunctionNode, MemoryConfig, Retry, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address

BEYOND = [KeyboardInterrupt, SystemExit, GeneratorExit]


class Side:
    """A node that runs while another one is interrupted, and ends when the test lets it."""

    def __init__(self) -> None:
        self.running = Event()
        self.go = Event()
        self.ended = Event()

    def __call__(self, _: Any) -> str:
        self.running.set()
        assert self.go.wait(10)
        self.ended.set()
        return "side"


@pytest.mark.parametrize("kind", BEYOND)
def test_interruption_of_the_calling_thread(workflow: Workflow, kind: type[BaseException]) -> None:
    """execute() raises an interruption at once: no concurrent node writes, and no other starts."""
    side, started = Side(), []

    def interrupted(_: Any) -> None:
        assert side.running.wait(60)
        raise kind

    workflow.add_node(FunctionNode("here", interrupted))
    workflow.add_node(FunctionNode("side", side, memory_write="side"))
    workflow.add_node(FunctionNode("after", lambda _: started.append(1), dependencies=["side"]))
    with pytest.raises(kind):
        workflow.execute()
    assert not side.ended.is_set()
    side.go.set()
    assert side.ended.wait(60)
    time.sleep(0.05)  # time for what must not happen
    assert (started, workflow.memory.list_keys()) == ([], [])


@pytest.mark.parametrize("kind", BEYOND)
def test_interruption_of_another_thread(workflow: Workflow, kind: type[BaseException]) -> None:
    """execute() raises the interruption of a node that runs in another thread."""
    raised = Event()

    def beside(_: Any) -> None:
        raised.set()
        raise kind

    workflow.add_node(FunctionNode("here", lambda _: raised.wait(5)))
    workflow.add_node(FunctionNode("beside", beside))
    with pytest.raises(kind):
        workflow.execute()


@pytest.mark.parametrize("timeout", [None, 5])
def test_system_exit_of_a_function(workflow: Workflow, execute: Any, timeout: float | None) -> None:
    """A sync function that exits ends the run with its SystemExit, in sync and async code."""

    def leave(_: Any) -> None:
        raise SystemExit(3)

    workflow.add_node(FunctionNode("n", leave, timeout=timeout, retry=5))
    with pytest.raises(SystemExit) as caught:
        execute(workflow)
    assert caught.value.code == 3


def test_cancelled_run_writes_nothing(workflow: Workflow) -> None:
    """A cancelled aexecute() ends its tasks, and nothing is written afterwards."""
    ended: list[str] = []

    async def wait(ctx: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)  # cleaning up takes a moment, and is waited for
            ended.append("wait")

    async def main() -> None:
        for node_id in ("a", "b", "c"):
            workflow.add_node(FunctionNode(node_id, wait, memory_write=node_id))
        workflow.add_node(FunctionNode("d", lambda _: ended.append("d"), dependencies=["a"]))
        task = asyncio.create_task(workflow.aexecute())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert (ended, workflow.memory.list_keys()) == (["wait"] * 3, [])


def test_cancelled_while_waiting_for_the_last_nodes(workflow: Workflow) -> None:
    """If aexecute() is cancelled while it waits for other nodes, these write nothing."""

    async def wait(_: Any) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        workflow.add_node(FunctionNode("quick", lambda _: 1))
        workflow.add_node(FunctionNode("slow", wait, memory_write="k"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await workflow.aexecute()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert workflow.memory.list_keys() == []


def test_no_node_starts_after_a_cancellation(workflow: Workflow) -> None:
    """The dependents of a node that swallows its cancellation do not start."""
    ran: list[int] = []

    async def stubborn(_: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    async def main() -> None:
        workflow.add_node(FunctionNode("quick", lambda _: 1))
        workflow.add_node(FunctionNode("stubborn", stubborn))
        workflow.add_node(FunctionNode("after", lambda _: ran.append(1), dependencies=["stubborn"]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await workflow.aexecute()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert ran == []


def test_cancelled_while_a_sync_function_runs(workflow: Workflow) -> None:
    """After a cancellation the result of a sync function is dropped, and nothing is written."""
    side = Side()
    workflow.add_node(FunctionNode("n", side, memory_write="k"))

    async def main() -> None:
        task = asyncio.create_task(workflow.aexecute())
        await asyncio.to_thread(side.running.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        side.go.set()
        await asyncio.to_thread(side.ended.wait, 5)
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert workflow.memory.list_keys() == []


def test_function_ends_after_its_loop_was_closed(workflow: Workflow) -> None:
    """A function that ends after its event loop was closed causes no error."""
    side = Side()
    workflow.add_node(FunctionNode("n", side, timeout=0.05))
    with pytest.raises(Exception, match="WorkflowTimeoutError"):
        asyncio.run(workflow.aexecute())
    side.go.set()
    assert side.ended.wait(60)


@pytest.mark.parametrize("first", [True, False])
def test_function_that_raises_cancelled_error(workflow: Workflow, first: bool) -> None:
    """CancelledError from a node's own function ends the run with it; no task is left."""

    async def cancelled(_: Any) -> None:
        raise asyncio.CancelledError

    async def fine(_: Any) -> int:
        return 1

    nodes = [FunctionNode("bad", cancelled), FunctionNode("fine", fine)]
    for node in nodes if first else reversed(nodes):
        workflow.add_node(node)

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await workflow.aexecute()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_no_write_after_an_interruption(config: MemoryConfig) -> None:
    """A node whose function ends after the run was interrupted does not write."""
    workflow = Workflow("flow", config, timeout=60)
    side = Side()

    def interrupted(_: Any) -> None:
        assert side.running.wait(60)
        raise KeyboardInterrupt

    workflow.add_node(FunctionNode("here", interrupted))
    workflow.add_node(FunctionNode("side", side, memory_write=["a", "b"]))
    with pytest.raises(KeyboardInterrupt):
        workflow.execute()
    side.go.set()
    assert side.ended.wait(60)
    time.sleep(0.05)
    workflow.close()
    with Workflow("flow", config) as again:
        assert again.memory.list_keys() == []


def test_no_retry_after_an_interruption(
    workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    """A concurrent node that fails after Ctrl-C is not retried, and no retry is logged."""
    caplog.set_level(logging.DEBUG, "fibonacci.workflow")
    calls: list[int] = []
    running, go = Event(), Event()

    def beside(_: Any) -> None:
        calls.append(1)
        running.set()
        assert go.wait(60)
        raise OSError

    def interrupted(_: Any) -> None:
        assert running.wait(60)
        raise KeyboardInterrupt

    workflow.add_node(FunctionNode("here", interrupted))
    workflow.add_node(FunctionNode("beside", beside, retry=Retry(attempts=5, backoff=0)))
    with pytest.raises(KeyboardInterrupt):
        workflow.execute()
    go.set()
    time.sleep(0.2)
    assert (calls, caplog.records) == ([1], [])


def test_no_second_write_after_an_interruption() -> None:
    """A node that was writing its first record at Ctrl-C does not write its second."""
    writing, go = Event(), Event()

    class Slow(LocalStore):
        def write(self, address: Address, *args: Any, **kwargs: Any) -> None:
            writing.set()
            assert go.wait(60)
            super().write(address, *args, **kwargs)

    workflow = Workflow("flow", MemoryConfig(Slow()))

    def interrupted(_: Any) -> None:
        assert writing.wait(60)
        raise KeyboardInterrupt

    workflow.add_node(FunctionNode("here", interrupted))
    workflow.add_node(FunctionNode("beside", lambda _: 1, memory_write=["first", "second"]))
    with pytest.raises(KeyboardInterrupt):
        workflow.execute()
    go.set()
    time.sleep(0.2)
    assert not workflow.memory.exists("second")


def test_swallowed_cancellation_still_cancels_the_run(workflow: Workflow) -> None:
    """A function that swallows a cancellation does not let the run continue."""
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


def test_cancellation_swallowed_by_the_last_node(workflow: Workflow) -> None:
    """The caller's cancellation is raised even if the last node swallows it."""

    async def stubborn(_: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    workflow.add_node(FunctionNode("n", stubborn))

    async def main() -> None:
        task = asyncio.create_task(workflow.aexecute())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())


@pytest.mark.parametrize("other", ["first", "last"])
def test_timeout_inside_a_node_is_no_cancellation(workflow: Workflow, other: str) -> None:
    """While a function cleans up after its own timeout, concurrent nodes continue."""
    cleaning = asyncio.Event()

    async def late(_: Any) -> str:
        try:
            async with asyncio.timeout(0.01):
                try:
                    await asyncio.sleep(60)
                finally:
                    cleaning.set()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            return "in time after all"
        raise AssertionError

    async def beside(_: Any) -> int:
        await cleaning.wait()
        return 1

    nodes = [FunctionNode("late", late), FunctionNode("beside", beside, memory_write="k")]
    for node in nodes if other == "last" else reversed(nodes):
        workflow.add_node(node)
    workflow.add_node(FunctionNode("after", lambda _: 2, dependencies=["beside"]))
    result = asyncio.run(workflow.aexecute())
    assert dict(result) == {"late": "in time after all", "beside": 1, "after": 2}
    assert workflow.memory.get("k") == 1
