"""Nodes that don't depend on each other run concurrently, up to max_concurrency."""

import asyncio
import threading
from collections import Counter
from threading import Barrier, Event, Lock, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fibonacci import FibonacciError, FunctionNode, LLMNode, Workflow
from fibonacci.plugin._runtime import threads as workers


@pytest.mark.parametrize("kind", ["function", "model"])
def test_independent_nodes_run_at_once(workflow: Workflow, execute: Any, kind: str) -> None:
    """Eight nodes without dependencies run at once: each waits for all the others."""
    together = Barrier(8)

    def meet(_: Any) -> str:
        together.wait(10)
        return "met"

    for number in range(8):
        node_id = f"n{number}"
        node: Any = (
            FunctionNode(node_id, meet) if kind == "function" else LLMNode(node_id, meet, "")
        )
        workflow.add_node(node)
    assert set(execute(workflow).values()) == {"met"}


def test_released_nodes_run_at_once(workflow: Workflow, execute: Any) -> None:
    """Nodes that one node releases run at once, as soon as they can."""
    together = Barrier(3)
    workflow.add_node(FunctionNode("root", lambda _: 0))
    for node_id in "abc":
        workflow.add_node(
            FunctionNode(node_id, lambda _: together.wait(10) >= 0, dependencies=["root"])
        )
    workflow.add_node(FunctionNode("end", lambda ctx: len(ctx.results), dependencies=[*"abc"]))
    assert execute(workflow)["end"] == 3


def test_async_functions_overlap(workflow: Workflow) -> None:
    """Async functions run concurrently in one loop, and sync functions beside them in threads."""

    async def main() -> int:
        together = asyncio.Barrier(50)
        loop = asyncio.get_running_loop()

        async def meet(_: Any) -> None:
            await asyncio.wait_for(together.wait(), 10)

        def sync_function(_: Any) -> None:
            asyncio.run_coroutine_threadsafe(meet(None), loop).result(10)

        for number in range(45):
            workflow.add_node(FunctionNode(f"n{number}", meet))
        for number in range(5):
            workflow.add_node(FunctionNode(f"p{number}", sync_function))
        return len(await workflow.aexecute())

    assert asyncio.run(main()) == 50


class Crowd:
    """Counts how many are in it at once."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.inside = 0
        self.most = 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_max_concurrency(execute: Any, limit: int) -> None:
    """As many nodes run at once as max_concurrency says, and never more."""
    workflow = Workflow("flow", max_concurrency=limit)
    crowd, together = Crowd(), Barrier(limit)

    def work(_: Any) -> None:
        with crowd:
            together.wait(10)

    for number in range(4 * limit):
        workflow.add_node(FunctionNode(f"n{number}", work))
    workflow.add_node(
        FunctionNode("end", lambda _: 1, dependencies=[f"n{n}" for n in range(4 * limit)])
    )
    assert execute(workflow)["end"] == 1
    assert crowd.most == limit


def test_max_concurrency_of_one(execute: Any) -> None:
    """With max_concurrency=1, ready nodes run in the order in which they were added."""
    workflow = Workflow("flow", max_concurrency=1)
    order: list[str] = []
    for node_id in "cab":
        workflow.add_node(FunctionNode(node_id, lambda _, name=node_id: order.append(name)))  # type: ignore[misc]
    execute(workflow)
    assert order == [*"cab"]


@pytest.mark.parametrize("limit", [1, None])
def test_nested_workflows_do_not_deadlock(execute: Any, limit: int | None) -> None:
    """A node may run another workflow, twenty deep, whatever the limit, without a deadlock."""
    inner: Workflow | None = None
    for level in range(20):
        workflow = Workflow(f"level-{level}", max_concurrency=limit)
        for node_id in ("a", "b") if level % 7 == 0 else ("a",):
            workflow.add_node(
                FunctionNode(
                    node_id,
                    lambda _, below=inner: sum(below.execute().values()) if below else 1,  # type: ignore[misc]
                )
            )
        inner = workflow
    assert inner is not None
    assert sum(execute(inner).values()) == 8


def test_nested_async_workflows_do_not_deadlock() -> None:
    """An async node may await another workflow, twenty deep, without a deadlock."""
    inner = Workflow("inner", max_concurrency=1)
    inner.add_node(FunctionNode("a", lambda _: 1))
    for level in range(10):
        workflow = Workflow(f"level-{level}", max_concurrency=1)

        async def below(_: Any, one: Workflow = inner) -> int:
            return sum((await one.aexecute()).values())

        workflow.add_node(FunctionNode("a", below))
        inner = workflow
    assert asyncio.run(inner.aexecute()) == {"a": 1}


@st.composite
def graphs(draw: st.DrawFn) -> list[set[int]]:
    """Draw a graph of up to 200 nodes: for each, the earlier nodes that it depends on."""
    size = draw(st.integers(1, 200))
    random = draw(st.randoms(use_true_random=False))
    density = draw(st.sampled_from([0.0, 0.01, 0.1, 0.5]))
    most = draw(st.sampled_from([1, 2, 10]))
    return [
        {random.randrange(node) for _ in range(most) if node and random.random() < density * most}
        for node in range(size)
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs(), limit=st.sampled_from([None, 1, 2, 7]), order=st.randoms())
def test_random_graphs(graph: list[set[int]], limit: int | None, order: Any) -> None:
    """In any graph, each node runs once, after its dependencies; sync and async code agree."""
    workflow = Workflow("random", max_concurrency=limit)
    ended: Counter[int] = Counter()
    crowd = Crowd()

    def node(number: int) -> FunctionNode:
        def work(ctx: Any) -> int:
            with crowd:
                assert all(ended[need] for need in graph[number])
                return 1 + sum(ctx.results.values()) % 1_000_003

        def noted(ctx: Any) -> int:
            found = work(ctx)
            ended[number] += 1
            return found

        needs = [f"n{need}" for need in graph[number]]
        return FunctionNode(f"n{number}", noted, dependencies=needs)

    nodes = [node(number) for number in range(len(graph))]
    order.shuffle(nodes)
    for function_node in nodes:
        workflow.add_node(function_node)
    sync_result = workflow.execute()
    assert ended == dict.fromkeys(range(len(graph)), 1)
    ended.clear()
    async_result = asyncio.run(workflow.aexecute())
    assert ended == dict.fromkeys(range(len(graph)), 1)
    assert dict(sync_result) == dict(async_result)
    assert crowd.most <= (limit or len(graph))
    for number, needs in enumerate(graph):
        for need in needs:
            assert sync_result.trace[f"n{need}"].end <= sync_result.trace[f"n{number}"].start


def test_no_thread_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system has no thread left, a run ends, with its results or a FibonacciError."""
    monkeypatch.setattr(workers, "_workers", workers.Workers())  # it has no idle worker
    workflow, ended = Workflow("flow"), []
    started, exhausted, go = Event(), Event(), Event()

    def exhaust(_: Any) -> None:
        assert started.wait(60)
        threading.stack_size(1 << 46)  # no system has that much: no thread starts

    def hold(_: Any) -> None:
        started.set()
        go.wait(10)

    workflow.add_node(FunctionNode("hold", hold))
    workflow.add_node(FunctionNode("exhaust", exhaust))
    for node_id in "abc":
        workflow.add_node(
            FunctionNode(node_id, lambda _: exhausted.set(), dependencies=["exhaust"])
        )

    def run() -> None:
        try:
            ended.append(workflow.execute())
        except FibonacciError as error:
            ended.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        assert exhausted.wait(60)  # the thread has kept its node, as no other could be started
    finally:
        threading.stack_size(0)
        go.set()
    thread.join(60)
    assert ended
