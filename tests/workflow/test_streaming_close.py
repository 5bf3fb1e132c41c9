"""Closing a stream early stops its run."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import pytest
from streams import Endless, soon, until

from fibonacci import (
    FunctionNode,
    LLMNode,
    NodeRetried,
    NodeStarted,
    NodeText,
    Retry,
    Workflow,
)
from fibonacci.plugin import Completion, ModelRequest, TextDelta


def test_close_stops_the_model(workflow: Workflow, stream: Any) -> None:
    """When close() returns, the model's stream is closed, and nothing will be written."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x", memory_write="k", retry=3))
    events = stream(workflow)
    until(events, NodeText)
    events.close()
    assert (model.said, model.closed) == (1, 1)
    time.sleep(0.05)  # time for what must not happen
    assert (model.said, workflow.memory.list_keys()) == (1, [])
    assert list(events) == []


@pytest.mark.parametrize("timeout", [None, 60])
def test_close_stops_all_models(stream: Any, timeout: float | None) -> None:
    """close() stops the models of many nodes at once, also of those with a timeout."""
    workflow, model = Workflow("flow"), Endless()
    for number in range(10):
        workflow.add_node(LLMNode(f"n{number}", model, "x", timeout=timeout))
    events = stream(workflow)
    for number in range(10):
        until(events, NodeText, f"n{number}")
    assert soon(lambda: model.said >= 10)
    events.close()
    assert soon(lambda: model.closed == 10)


def test_leaving_a_loop_closes_the_stream(workflow: Workflow) -> None:
    """A break, or an exception in the loop's body, closes the stream at once."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x"))
    for event in workflow.stream():
        if isinstance(event, NodeText):
            break
    assert model.closed == 1
    with suppress(ZeroDivisionError):
        for event in workflow.stream():
            if isinstance(event, NodeText):
                raise ZeroDivisionError
    assert model.closed == 2


def test_leaving_an_async_loop_closes_the_stream(workflow: Workflow) -> None:
    """aclosing() closes a stream at once; without it the event loop closes it later."""
    model = Endless()
    workflow.add_node(LLMNode("n", model, "x"))

    async def main() -> None:
        async for event in workflow.astream():
            if isinstance(event, NodeText):
                break
        for _ in range(20):
            await asyncio.sleep(0)
        assert model.closed == 1
        async with aclosing(workflow.astream()) as events:
            async for event in events:
                if isinstance(event, NodeText):
                    break
        assert (model.closed, len(asyncio.all_tasks())) == (2, 1)

    asyncio.run(main())


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_cancelled_reader_stops_the_run(workflow: Workflow, how: str) -> None:
    """A cancelled reader stops the run: models, async functions, and memory writes."""
    ended: list[str] = []
    begun = asyncio.Event()
    task: asyncio.Task[None]

    async def wait(_: Any) -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append("wait")

    model = Endless()
    workflow.add_node(LLMNode("n", model, "x", memory_write="n"))
    workflow.add_node(FunctionNode("beside", wait, memory_write="beside"))

    async def read() -> None:
        async with asyncio.timeout(None) as limit:
            async for event in workflow.astream():
                if isinstance(event, NodeText) and begun.is_set() and how == "timeout":
                    limit.reschedule(asyncio.get_running_loop().time())
                elif isinstance(event, NodeText) and begun.is_set():
                    task.cancel()
                await asyncio.sleep(0.001)

    async def main() -> None:
        nonlocal task
        task = asyncio.create_task(read())
        with pytest.raises(asyncio.CancelledError if how == "cancel" else TimeoutError):
            await task
        # The loop closes the rest of a generator in a task.
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([left])

    asyncio.run(main())
    assert (model.closed, ended, workflow.memory.list_keys()) == (1, ["wait"], [])


def test_cancelled_reader_stops_a_silent_model(workflow: Workflow) -> None:
    """A cancelled reader stops a model that emits nothing at once."""
    stopped: list[int] = []

    class Silent(Endless):
        async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
            try:
                await asyncio.sleep(60)
            finally:
                stopped.append(1)
            yield TextDelta("never")

    workflow.add_node(LLMNode("n", Silent(), "x"))

    async def main() -> None:
        async with aclosing(workflow.astream()) as events:
            assert await anext(events) == NodeStarted("n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.05)
            assert stopped == [1]

    asyncio.run(main())


def test_no_retry_of_a_stream_that_close_stopped(
    workflow: Workflow, stream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A model whose stream close() stopped has not failed: no predicate sees it, and no log."""
    caplog.set_level(logging.DEBUG, "fibonacci.workflow")
    seen: list[Exception] = []
    retry = Retry(on=lambda error: seen.append(error) is None)
    workflow.add_node(LLMNode("n", Endless(), "x", retry=retry))
    events = stream(workflow)
    until(events, NodeText)
    events.close()
    time.sleep(0.05)  # time for what must not happen
    assert (seen, caplog.records) == ([], [])


def test_no_retry_after_close(workflow: Workflow, stream: Any) -> None:
    """No attempt starts after close(), even if the pause before it had begun."""
    calls: list[float] = []

    def flaky(_: Any) -> None:
        calls.append(time.monotonic())
        raise OSError

    retry = Retry(attempts=5, backoff=0.5, jitter=0)
    workflow.add_node(FunctionNode("n", flaky, retry=retry))
    workflow.add_node(LLMNode("beside", Endless(), "x"))
    events = stream(workflow)
    until(events, NodeRetried)
    until(events, NodeText, "beside")
    until(events, NodeText, "beside")
    events.close()
    closed = time.monotonic()
    time.sleep(0.7)  # longer than the pause: time for what must not happen
    assert all(call < closed for call in calls)
    # On a machine so slow that the pause was over before the end, there was another attempt.
    assert len(calls) == 1 or closed - calls[0] > 0.5


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
def test_stream_raises_interruptions_of_a_node(
    workflow: Workflow, kind: type[BaseException]
) -> None:
    """A stream raises what a node raises, whatever it is."""

    def interrupted(_: Any) -> None:
        raise kind

    workflow.add_node(FunctionNode("n", interrupted))
    events = workflow.stream()
    assert next(events) == NodeStarted("n")
    with pytest.raises(kind):
        next(events)
