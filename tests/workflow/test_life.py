"""The life of a workflow: event loops, context variables, garbage collection, closing."""

import asyncio
import gc
import time
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

from fibonacci import FunctionNode, LLMNode, MemoryConfig, StorageError, Workflow
from fibonacci.plugin import Engine, Template

request_id: ContextVar[str] = ContextVar("request_id")


@pytest.mark.parametrize("timeout", [None, 60])
def test_nodes_see_context_variables(
    workflow: Workflow, execute: Any, timeout: float | None
) -> None:
    """Every node sees the caller's context variables, in whatever thread or task it runs."""
    for number in range(4):
        workflow.add_node(FunctionNode(f"f{number}", lambda _: request_id.get(), timeout=timeout))
        workflow.add_node(
            LLMNode(f"m{number}", lambda _: request_id.get(), "x", dependencies=[f"f{number}"])
        )
    token = request_id.set("r1")
    try:
        assert set(execute(workflow).values()) == {"r1"}
    finally:
        request_id.reset(token)


def test_execute_inside_a_running_loop(workflow: Workflow) -> None:
    """execute() works inside a running event loop, as in a notebook."""
    for node_id in "abc":
        workflow.add_node(FunctionNode(node_id, lambda _: 1, memory_write=node_id, timeout=60))

    async def cell() -> Any:
        return workflow.execute()

    assert asyncio.run(cell()) == {"a": 1, "b": 1, "c": 1}
    assert workflow.memory.get("a") == 1


def test_several_event_loops(workflow: Workflow) -> None:
    """One workflow runs in several event loops, one after the other, and without one (C21)."""

    async def async_part(ctx: Any) -> int:
        return await ctx.memory.aincrement("k")

    workflow.add_node(FunctionNode("n", async_part))
    workflow.add_node(LLMNode("m", "echo", "{{n}}"))
    assert [asyncio.run(workflow.aexecute())["m"] for _ in range(3)] == ["1", "2", "3"]


def test_concurrent_executions_in_one_loop(workflow: Workflow) -> None:
    """Executions in one event loop run concurrently."""
    together = asyncio.Barrier(10)

    async def meet(_: Any) -> None:
        await asyncio.wait_for(together.wait(), 60)

    workflow.add_node(FunctionNode("n", meet))

    async def main() -> int:
        return len(await asyncio.gather(*(workflow.aexecute() for _ in range(10))))

    assert asyncio.run(main()) == 10


def test_unreferenced_workflow_is_freed(config: MemoryConfig, execute: Any) -> None:
    """A workflow that ran is freed with its memory as soon as nothing refers to it."""
    workflow = Workflow("flow", config)
    for node_id in "ab":
        workflow.add_node(FunctionNode(node_id, lambda _: 1, memory_write=node_id))
    execute(workflow)
    gone = [weakref.ref(workflow), weakref.ref(workflow.memory)]
    del workflow
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


class Large:
    """An output that is worth freeing."""


def test_outputs_are_freed_with_their_result(workflow: Workflow, execute: Any) -> None:
    """No idle thread, and no workflow, references an output after its result is gone."""
    created: list[weakref.ref[Large]] = []

    def make(_: Any) -> Large:
        large = Large()
        created.append(weakref.ref(large))
        return large

    for number in range(6):
        timeout = 60 if number % 2 else None
        workflow.add_node(FunctionNode(f"n{number}", make, timeout=timeout))
    result = execute(workflow)
    del result
    for _ in range(6_000):  # a thread releases its task just after the run has ended
        gc.collect()
        if not any(reference() for reference in created):
            break
        time.sleep(0.01)
    assert len(created) == 6
    assert [reference() for reference in created] == [None] * 6


def test_close(config: MemoryConfig) -> None:
    """A closed workflow has no memory; closing it twice is allowed."""
    with Workflow("flow", config) as workflow:
        workflow.memory.set("k", 1)
    workflow.close()
    with pytest.raises(StorageError):
        workflow.memory.get("k")


def test_async_with_closes(config: MemoryConfig) -> None:
    """``async with`` closes the workflow, which then has no memory."""

    async def main() -> None:
        async with Workflow("flow", config) as workflow:
            await workflow.memory.aset("k", 1)
        await workflow.aclose()
        with pytest.raises(StorageError):
            await workflow.memory.aget("k")

    asyncio.run(main())


class Upper(Engine):
    """An engine whose templates are their own text, in capitals."""

    def compile(self, source: str) -> Template:
        class Capitals(Template):
            references = ()

            def render(self, namespace: Any) -> str:
                return source.upper()

        return Capitals()


def test_templating_takes_an_engine(execute: Any) -> None:
    """templating= takes an Engine."""
    workflow = Workflow("flow", templating=Upper())
    workflow.add_node(LLMNode("n", "echo", "{{loud}}"))
    assert execute(workflow)["n"] == "{{LOUD}}"
