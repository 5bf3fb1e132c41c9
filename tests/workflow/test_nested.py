"""ctx.execute and ctx.aexecute: a function's workflows are a part of the outer run."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from fibonacci import (
    Event,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    MemoryKey,
    MemoryWritten,
    ModelError,
    NestedEvent,
    NodeContext,
    NodeExecutionError,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    NodeText,
    Retry,
    Workflow,
    WorkflowError,
    WorkflowFinished,
    WorkflowTimeoutError,
)
from fibonacci.plugin import Completion, Usage
from fibonacci.testing import ScriptedModel

from .conftest import stream_in_async

COST = Usage(input_tokens=3, output_tokens=5)
ANSWER = Completion(text="an answer", usage=COST)


def inner(*answers: Any) -> Workflow:
    """Return a workflow whose model has these answers."""
    workflow = Workflow("inner")
    workflow.add_node(LLMNode("ask", ScriptedModel(*answers), "x"))
    return workflow


def executing(nested: Workflow, *, is_async: bool) -> Any:
    """Return a function that executes the workflow."""

    async def execute_async(ctx: NodeContext) -> str:
        result = await ctx.aexecute(nested)
        return f"{result['ask']}"

    return execute_async if is_async else lambda ctx: ctx.execute(nested)["ask"]


def test_usage_reaches_the_outer_run(workflow: Workflow, execute: Any) -> None:
    """The tokens of a nested run are those of its node, and count in the outer result."""
    workflow.add_node(FunctionNode("n", executing(inner(ANSWER), is_async=False)))
    workflow.add_node(LLMNode("after", ScriptedModel(ANSWER), "{{n}}"))
    result = execute(workflow)
    assert result.trace["n"].usage == COST
    assert result.usage == COST + COST


def test_usage_in_async_functions(workflow: Workflow) -> None:
    """Nested runs of an async function count, also those that it runs at once."""
    nested = inner(ANSWER, ANSWER, ANSWER)

    async def several(ctx: NodeContext) -> None:
        await asyncio.gather(*(ctx.aexecute(nested) for _ in range(3)))

    workflow.add_node(FunctionNode("n", several))
    assert asyncio.run(workflow.aexecute()).usage == COST + COST + COST


def test_usage_in_threads_of_a_function(workflow: Workflow, execute: Any) -> None:
    """Nested runs in a function's threads count."""
    nested = inner(*[ANSWER] * 8)

    def several(ctx: NodeContext) -> None:
        with ThreadPoolExecutor(4) as threads:
            for _ in range(8):
                threads.submit(ctx.execute, nested)

    workflow.add_node(FunctionNode("n", several))
    assert execute(workflow).usage == Usage(input_tokens=24, output_tokens=40)


def test_usage_of_failed_attempts(workflow: Workflow, execute: Any) -> None:
    """The tokens of nested runs count if they fail, and if the function does."""
    nested = inner(ModelError("busy", usage=COST), ANSWER)
    attempts = []

    def function(ctx: NodeContext) -> str:
        attempts.append(1)
        result = ctx.execute(nested)
        raise ConnectionError(len(result))

    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0, on=Exception)))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert len(attempts) == 2
    assert caught.value.usage == COST + COST


def test_nested_in_nested(workflow: Workflow, execute: Any) -> None:
    """Tokens reach the outermost run."""
    middle = Workflow("middle")
    middle.add_node(FunctionNode("m", executing(inner(ANSWER), is_async=False)))
    workflow.add_node(FunctionNode("n", lambda ctx: dict(ctx.execute(middle))))
    assert execute(workflow).usage == COST


def test_other_runs_are_not_nested(workflow: Workflow, execute: Any) -> None:
    """A run that a function starts without its context is a run of its own."""
    nested = inner(ANSWER)
    workflow.add_node(FunctionNode("n", lambda _: nested.execute()["ask"]))
    assert execute(workflow).usage == Usage()


def test_later_runs_are_not_nested(workflow: Workflow, execute: Any) -> None:
    """A context that is used after its function has returned executes a run of its own."""
    contexts: list[NodeContext] = []
    workflow.add_node(FunctionNode("n", contexts.append))
    result = execute(workflow)
    assert contexts[0].execute(inner(ANSWER))["ask"] == "an answer"
    assert result.usage == Usage()


def test_nested_run_is_for_the_same_user(workflow: Workflow, execute: Any) -> None:
    """A nested run has the user and the organization of the outer one, and its inputs."""
    nested = Workflow("inner")
    nested.add_node(
        FunctionNode("who", lambda ctx: [ctx.user_id, ctx.organization_id, ctx.inputs["x"]])
    )
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.execute(nested, {"x": 1})["who"]))
    assert execute(workflow, user_id="ada", organization_id="acme")["n"] == ["ada", "acme", 1]


def test_nested_run_ends_with_its_node(workflow: Workflow, execute: Any) -> None:
    """When the time of a node is over, its nested run starts no other node; its tokens count."""
    go, ended = threading.Event(), threading.Event()
    nested, later = Workflow("inner"), ScriptedModel("never")

    def slow(_: Any) -> Completion:
        assert go.wait(60)
        return ANSWER

    nested.add_node(LLMNode("first", ScriptedModel(ANSWER), "x"))
    nested.add_node(LLMNode("slow", slow, "{{first}}"))
    nested.add_node(LLMNode("later", later, "{{slow}}"))

    def function(ctx: NodeContext) -> None:
        try:
            ctx.execute(nested)
        finally:
            ended.set()

    workflow.add_node(FunctionNode("n", function, timeout=0.2))
    with pytest.raises(WorkflowTimeoutError) as caught:
        execute(workflow)
    assert caught.value.usage == COST
    go.set()
    assert ended.wait(60)
    assert later.requests == []


def events_of(workflow: Workflow, *, is_async: bool) -> list[Event]:
    if not is_async:
        return list(workflow.stream())

    async def read() -> list[Event]:
        return [event async for event in workflow.astream()]

    return asyncio.run(read())


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_events_reach_the_outer_stream(workflow: Workflow, is_async: bool) -> None:
    """A stream yields the events of nested runs, with the node that they are nested in."""
    nested = inner("an answer")
    workflow.add_node(FunctionNode("n", executing(nested, is_async=is_async)))
    *events, finished = events_of(workflow, is_async=is_async)
    assert events == [
        NodeStarted("n"),
        NestedEvent("n", NodeStarted("ask")),
        NestedEvent("n", NodeText("ask", "an answer")),
        NestedEvent("n", NodeFinished("ask", "an answer")),
        NodeFinished("n", "an answer"),
    ]
    assert isinstance(finished, WorkflowFinished)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_nested_run_writes_memory(workflow: Workflow, is_async: bool) -> None:
    """A nested run writes its memory, and the outer stream has the event."""
    nested = Workflow("inner", MemoryConfig(connection_url=f"memory://nested-{is_async}"))
    nested.add_node(LLMNode("ask", ScriptedModel("an answer"), "x", memory_write="k"))
    workflow.add_node(FunctionNode("n", executing(nested, is_async=is_async)))
    events = events_of(workflow, is_async=is_async)
    written = MemoryWritten("ask", (MemoryKey("workflow", "k"),))
    assert NestedEvent("n", written) in events
    assert nested.memory.get("k") == "an answer"


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_events_of_two_levels(workflow: Workflow, is_async: bool) -> None:
    """Each level adds its node, and the failure of a nested node is an event, too."""
    middle = Workflow("middle")
    failing = inner(ModelError("busy"))
    middle.add_node(FunctionNode("m", executing(failing, is_async=is_async)))

    async def run_async(ctx: NodeContext) -> None:
        with suppress(NodeExecutionError):
            await ctx.aexecute(middle)

    def run(ctx: NodeContext) -> None:
        with suppress(NodeExecutionError):
            ctx.execute(middle)

    workflow.add_node(FunctionNode("n", run_async if is_async else run))
    events = events_of(workflow, is_async=is_async)
    levels = [(event.node_id, event.event) for event in events if isinstance(event, NestedEvent)]
    assert [node_id for node_id, _ in levels] == ["n"] * 4
    kinds = [type(event.event) for _, event in levels if isinstance(event, NestedEvent)]
    assert kinds == [NodeStarted, NodeFailed]
    assert isinstance(levels[-1][1], NodeFailed)


def test_sync_function_in_an_async_stream(workflow: Workflow) -> None:
    """The nested run of a sync function can't reach an async reader: its tokens count."""
    workflow.add_node(FunctionNode("n", executing(inner(ANSWER), is_async=False)))
    *events, finished = events_of(workflow, is_async=True)
    assert events == [NodeStarted("n"), NodeFinished("n", "an answer")]
    assert isinstance(finished, WorkflowFinished)
    assert finished.result.usage == COST


def test_event_loop_of_its_own(workflow: Workflow, stream: Any) -> None:
    """A nested run in an event loop of its own can't reach the reader: its tokens count."""
    nested = inner(ANSWER)
    workflow.add_node(FunctionNode("n", lambda ctx: asyncio.run(ctx.aexecute(nested))["ask"]))
    *events, finished = stream(workflow)
    assert events == [NodeStarted("n"), NodeFinished("n", "an answer")]
    assert finished.result.usage == COST


def test_nested_runs_at_once_can_be_distinguished(workflow: Workflow) -> None:
    """Each event of a nested run has the id of that run."""
    nested = inner("one", "two")

    async def both(ctx: NodeContext) -> list[str]:
        results = await asyncio.gather(*(ctx.aexecute(nested) for _ in range(2)))
        return [result.run_id for result in results]

    workflow.add_node(FunctionNode("n", both))
    *events, finished = events_of(workflow, is_async=True)
    assert isinstance(finished, WorkflowFinished)
    texts: dict[str, str] = {}
    for event in events:
        if isinstance(event, NestedEvent) and isinstance(event.event, NodeText):
            texts[event.run_id] = texts.get(event.run_id, "") + event.event.text
    assert texts.keys() == set(finished.result["n"])
    assert sorted(texts.values()) == ["one", "two"]


def test_closing_the_outer_stream_stops_a_nested_run(workflow: Workflow, stream: Any) -> None:
    """A stream that is closed at a nested event ends the nested run, which writes nothing."""
    nested = Workflow("inner", MemoryConfig(connection_url="memory://nested-closed"))
    nested.add_node(LLMNode("ask", ScriptedModel("an answer"), "x", memory_write="k"))
    is_async = stream is stream_in_async
    workflow.add_node(FunctionNode("n", executing(nested, is_async=is_async)))
    events = stream(workflow)
    for event in events:
        if isinstance(event, NestedEvent) and isinstance(event.event, NodeFinished):
            events.close()
    assert nested.memory.list_keys() == []


def test_nested_run_in_a_thread_outlives_the_outer_stream(workflow: Workflow) -> None:
    """A nested run that outlives the outer stream goes on, and waits for no reader."""
    started, go, answers = threading.Event(), threading.Event(), []

    def slow(_: Any) -> str:
        started.set()
        assert go.wait(60)
        return "late"

    nested = Workflow("inner")
    nested.add_node(LLMNode("ask", slow, "x"))
    nested.add_node(LLMNode("again", "echo", "{{ask}}"))

    def function(ctx: NodeContext) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.append(ctx.execute(nested)["again"]))
        thread.start()
        assert started.wait(60)
        return thread

    workflow.add_node(FunctionNode("n", function))
    *_, finished = workflow.stream()
    assert isinstance(finished, WorkflowFinished)
    go.set()
    finished.result["n"].join(60)
    assert answers == ["late"]


@pytest.mark.parametrize("waits_for_the_reader", [False, True])
def test_nested_run_in_a_task_outlives_the_outer_stream(
    workflow: Workflow, waits_for_the_reader: bool
) -> None:
    """The same in a task, also if it was waiting for the reader when the outer run ended."""
    nested = inner("an answer")
    tasks: list[asyncio.Task[Any]] = []

    async def function(ctx: NodeContext) -> None:
        tasks.append(asyncio.create_task(ctx.aexecute(nested)))
        if waits_for_the_reader:
            await asyncio.sleep(0)

    workflow.add_node(FunctionNode("n", function))

    async def read() -> Any:
        async for _ in workflow.astream():
            pass
        return await asyncio.wait_for(tasks[0], 60)

    assert asyncio.run(read())["ask"] == "an answer"


def test_function_whose_reader_has_left(workflow: Workflow) -> None:
    """What a nested run raises in a function whose reader has left says so."""
    raised = []

    def function(ctx: NodeContext) -> None:
        try:
            ctx.execute(inner("an answer"))
        except WorkflowError as error:
            raised.append(error)

    workflow.add_node(FunctionNode("n", function))
    events = workflow.stream()
    while not isinstance(next(events), NestedEvent):
        pass
    events.close()
    while not raised:
        time.sleep(0.01)
    assert str(raised[0]) == "nobody waits for this run any more"
    assert raised[0].__cause__ is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_child_is_not_nested(workflow: Workflow) -> None:
    """A child that a function forks runs its own workflows, and no reader waits for them."""
    nested = inner("an answer")

    def fork(ctx: NodeContext) -> int:
        child = os.fork()
        if not child:
            os._exit(7 if ctx.execute(nested)["ask"] == "an answer" else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    workflow.add_node(FunctionNode("n", fork))
    *events, finished = workflow.stream()
    assert events == [NodeStarted("n"), NodeFinished("n", 7)]
    assert isinstance(finished, WorkflowFinished)
