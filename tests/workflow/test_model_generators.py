"""Generator functions as models, sync and async: their texts are streamed."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from functools import partial
from threading import Event, current_thread, main_thread
from typing import Any

import pytest
from streams import until

from fibonacci import (
    ExecutionResult,
    FunctionNode,
    LLMNode,
    ModelError,
    NodeExecutionError,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeText,
    Retry,
    Workflow,
    WorkflowFinished,
    WorkflowTimeoutError,
    WorkflowValidationError,
)
from fibonacci.plugin import Completion, ModelRequest, TextDelta, Usage

Execute = Callable[[Workflow], ExecutionResult]
Make = Callable[..., Callable[[ModelRequest], Any]]


def sync_generator(*items: Any, returned: Any = None) -> Callable[[ModelRequest], Any]:
    """Return a model that yields these items; an exception is raised."""

    def model(request: ModelRequest) -> Generator[Any, None, Any]:
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item
        return returned

    return model


def async_generator(*items: Any) -> Callable[[ModelRequest], Any]:
    """Return an async model that yields these items; an exception is raised."""

    async def model(request: ModelRequest) -> AsyncGenerator[Any]:
        for item in items:
            await asyncio.sleep(0)
            if isinstance(item, Exception):
                raise item
            yield item

    return model


def execute(workflow: Workflow) -> ExecutionResult:
    return workflow.execute()


def aexecute(workflow: Workflow) -> ExecutionResult:
    return asyncio.run(workflow.aexecute())


def last_of_stream(workflow: Workflow) -> ExecutionResult:
    *_, last = workflow.stream()
    assert isinstance(last, WorkflowFinished)
    return last.result


def last_of_astream(workflow: Workflow) -> ExecutionResult:
    async def read() -> ExecutionResult:
        last = [event async for event in workflow.astream()][-1]
        assert isinstance(last, WorkflowFinished)
        return last.result

    return asyncio.run(read())


SYNC = [
    pytest.param(sync_generator, run, id=f"sync-{run.__name__}")
    for run in (execute, aexecute, last_of_stream, last_of_astream)
]
ASYNC = [
    pytest.param(async_generator, run, id=f"async-{run.__name__}")
    for run in (aexecute, last_of_astream)
]
each_way = pytest.mark.parametrize(("make", "run"), [*SYNC, *ASYNC])
each_way_with_sync_generators = pytest.mark.parametrize(("make", "run"), SYNC)


class Loud(str):
    def __str__(self) -> str:
        return "LOUD"


@each_way
@pytest.mark.parametrize(
    "items",
    [
        ("Hel", "lo"),
        (TextDelta("Hel"), "", "lo"),
        ("Hello", Completion(text="Hello")),
        (Completion(text="Hello"),),
        (Loud("Hello"),),
    ],
)
def test_yielded_texts_are_joined(workflow: Workflow, make: Make, run: Execute, items: Any) -> None:
    """The output of a node whose model is a generator is what that yields, joined."""
    workflow.add_node(LLMNode("n", make(*items), "x"))
    output = run(workflow)["n"]
    assert (output, type(output)) == ("Hello", str)


@each_way
def test_empty_generator(workflow: Workflow, make: Make, run: Execute) -> None:
    """A generator that yields nothing is a model that returns no text."""
    workflow.add_node(LLMNode("n", make(), "x"))
    assert run(workflow)["n"] == ""


@each_way
def test_usage_of_a_generator(workflow: Workflow, make: Make, run: Execute) -> None:
    """A generator that yields a Completion at the end reports its tokens."""
    last = Completion(text="Hello", usage=Usage(output_tokens=2), stop_reason="end")
    workflow.add_node(LLMNode("n", make("Hel", "lo", last), "x"))
    result = run(workflow)
    assert (result["n"], result.usage) == ("Hello", Usage(output_tokens=2))


@each_way_with_sync_generators
@pytest.mark.parametrize("items", [(), ("Hel", "lo")])
@pytest.mark.parametrize("returned", ["Hello", Completion(text="Hello")])
def test_generator_that_returns(
    workflow: Workflow, make: Make, run: Execute, items: Any, returned: Any
) -> None:
    """What a generator returns is its whole completion, as what a function returns."""
    workflow.add_node(LLMNode("n", make(*items, returned=returned), "x"))
    assert run(workflow)["n"] == "Hello"


@each_way
@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([3], "must yield texts, or a Completion at the end, not int"),
        (["a", None], "must yield texts, or a Completion at the end, not NoneType"),
        ([TextDelta(b"a")], "must yield texts, or a Completion at the end, not bytes"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        (["a", Completion(text="b")], "must be the texts that it yielded, joined"),
        ([Completion(text="a"), "b"], "must not yield or return anything after its Completion"),
    ],
)
def test_generator_that_yields_no_completion(
    workflow: Workflow, make: Make, run: Execute, items: Any, message: str
) -> None:
    """A generator whose items are not the texts of one completion fails its node, once."""
    calls: list[int] = []
    model = make(*items)
    workflow.add_node(LLMNode("n", lambda request: calls.append(1) or model(request), "x", retry=3))
    with pytest.raises(NodeExecutionError, match=message) as caught:
        run(workflow)
    assert isinstance(caught.value.__cause__, WorkflowValidationError)
    assert calls == [1]


@pytest.mark.parametrize(
    ("returned", "message"),
    [("b", "must be the texts that it yielded"), (3, "must return text or a Completion, not int")],
)
def test_generator_that_returns_no_completion(
    workflow: Workflow, returned: Any, message: str
) -> None:
    """A generator that returns another text than it yielded, or no text, fails its node."""
    workflow.add_node(LLMNode("n", sync_generator("a", returned=returned), "x"))
    with pytest.raises(NodeExecutionError, match=message):
        workflow.execute()


def test_texts_arrive_one_by_one(workflow: Workflow, stream: Any) -> None:
    """A reader has the first text before a generator makes the second one."""
    made: list[str] = []

    def model(request: ModelRequest) -> Generator[str]:
        for text in ("Hel", "lo"):
            made.append(text)
            yield text

    workflow.add_node(LLMNode("n", model, "x"))
    events = stream(workflow)
    assert [next(events), next(events), *made] == [NodeStarted("n"), NodeText("n", "Hel"), "Hel"]
    assert [next(events), next(events)] == [NodeText("n", "lo"), NodeFinished("n", "Hello")]


def test_texts_of_an_async_generator_arrive_one_by_one(workflow: Workflow) -> None:
    """A reader has the first text before an async generator makes the second one."""
    made: list[str] = []

    async def model(request: ModelRequest) -> AsyncGenerator[str]:
        for text in ("Hel", "lo"):
            made.append(text)
            yield text

    workflow.add_node(LLMNode("n", model, "x"))

    async def main() -> None:
        events = workflow.astream()
        first = [await anext(events), await anext(events)]
        assert [*first, *made] == [NodeStarted("n"), NodeText("n", "Hel"), "Hel"]
        assert await anext(events) == NodeText("n", "lo")
        assert [type(event) async for event in events] == [NodeFinished, WorkflowFinished]

    asyncio.run(main())


def test_close_closes_the_generator(workflow: Workflow, stream: Any) -> None:
    """When close() returns, a generator was closed: its ``finally`` has run."""
    steps: list[str] = []

    def model(request: ModelRequest) -> Generator[str]:
        try:
            while True:
                steps.append("text")
                yield "text"
        finally:
            steps.append("closed")

    workflow.add_node(LLMNode("n", model, "x", memory_write="k", retry=3))
    events = stream(workflow)
    until(events, NodeText)
    events.close()
    assert (steps, workflow.memory.list_keys()) == (["text", "closed"], [])


def test_close_closes_the_async_generator(workflow: Workflow) -> None:
    """When aclose() returns, an async generator was closed: its ``finally`` has run."""
    steps: list[str] = []

    async def model(request: ModelRequest) -> AsyncGenerator[str]:
        try:
            while True:
                steps.append("text")
                yield "text"
        finally:
            await asyncio.sleep(0)
            steps.append("closed")

    workflow.add_node(LLMNode("n", model, "x"))

    async def main() -> None:
        events = workflow.astream()
        assert [await anext(events), await anext(events)] == [
            NodeStarted("n"),
            NodeText("n", "text"),
        ]
        await events.aclose()
        assert steps == ["text", "closed"]

    asyncio.run(main())


class Blocking:
    """A generator as a model that blocks, and ends only if it is closed."""

    def __init__(self, first: str = "") -> None:
        self.first = first
        self.blocks = Event()
        self.go = Event()
        self.closed = Event()

    def __call__(self, request: ModelRequest) -> Generator[str]:
        try:
            yield self.first
            self.blocks.set()
            assert self.go.wait(60)
            while True:
                yield "late"
        finally:
            self.closed.set()


@each_way_with_sync_generators
@pytest.mark.parametrize("first", ["", "text"])
@pytest.mark.parametrize("whose", ["node", "workflow"])
def test_timeout_of_a_blocking_generator(make: Make, run: Execute, first: str, whose: str) -> None:
    """A run ends at its deadline while a generator blocks; that is closed at its next yield."""
    model = Blocking(first)
    workflow = Workflow("flow", timeout=0.2 if whose == "workflow" else None)
    timeout = 0.2 if whose == "node" else None
    workflow.add_node(LLMNode("n", model, "x", timeout=timeout, memory_write="k", retry=3))
    start = time.monotonic()
    with pytest.raises((NodeExecutionError, WorkflowTimeoutError), match="exceeded"):
        run(workflow)
    assert time.monotonic() - start < 5
    assert not model.closed.is_set()
    model.go.set()
    assert model.closed.wait(60)
    assert workflow.memory.list_keys() == []


@pytest.mark.parametrize("run", [aexecute, last_of_astream])
def test_timeout_of_an_async_generator(workflow: Workflow, run: Execute) -> None:
    """An async generator is cancelled at its node's deadline."""
    ended: list[type[BaseException]] = []

    async def model(request: ModelRequest) -> AsyncGenerator[str]:
        try:
            yield "text"
            await asyncio.sleep(60)
        except BaseException as error:
            ended.append(type(error))
            raise

    workflow.add_node(LLMNode("n", model, "x", timeout=0.1))
    with pytest.raises(NodeExecutionError, match="exceeded its timeout"):
        run(workflow)
    assert ended == [asyncio.CancelledError]


@pytest.mark.parametrize("is_stream", [False, True], ids=["aexecute", "astream"])
def test_cancelled_caller_of_a_blocking_generator(workflow: Workflow, is_stream: bool) -> None:
    """A cancelled caller does not wait for a generator that blocks; it is closed after that."""
    model = Blocking()
    workflow.add_node(LLMNode("n", model, "x"))

    async def call() -> None:
        if is_stream:
            async for _ in workflow.astream():
                pass
        else:
            await workflow.aexecute()

    async def main() -> None:
        task = asyncio.create_task(call())
        assert await asyncio.to_thread(model.blocks.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not model.closed.is_set()

    asyncio.run(main())
    model.go.set()
    assert model.closed.wait(60)


@pytest.mark.parametrize("run", [aexecute, last_of_astream])
def test_generator_does_not_block_the_event_loop(workflow: Workflow, run: Execute) -> None:
    """A sync generator blocks in threads: another node goes on in the event loop meanwhile."""
    begun, go = Event(), Event()
    in_main_thread: list[bool] = []

    def model(request: ModelRequest) -> Generator[str]:
        try:
            begun.set()
            assert go.wait(60)
            yield "text"
        finally:
            in_main_thread.append(current_thread() is main_thread())

    async def beside(_: Any) -> None:
        assert await asyncio.to_thread(begun.wait, 60)
        go.set()

    workflow.add_node(LLMNode("n", model, "x"))
    workflow.add_node(FunctionNode("beside", beside))
    assert (run(workflow)["n"], in_main_thread) == ("text", [False])


variable: ContextVar[str] = ContextVar("variable", default="default")


def test_all_steps_have_one_context(workflow: Workflow, stream: Any) -> None:
    """A generator sees its caller's context variables, and those that it sets itself."""
    seen: list[str] = []

    def model(request: ModelRequest) -> Generator[str]:
        seen.append(variable.get())
        token = variable.set("generator")
        try:
            yield "a"
            seen.append(variable.get())
            yield "b"
        finally:
            variable.reset(token)  # it fails in another context
            seen.append("reset")

    workflow.add_node(LLMNode("n", model, "x"))
    token = variable.set("caller")
    try:
        events = stream(workflow)
        until(events, NodeText)
        until(events, NodeText)
        events.close()
    finally:
        variable.reset(token)
    assert seen == ["caller", "generator", "reset"]


@each_way
def test_generator_that_raises(workflow: Workflow, make: Make, run: Execute) -> None:
    """An exception of a generator is the cause of its node's failure."""
    error = ZeroDivisionError("not text")
    workflow.add_node(LLMNode("n", make("a", error), "x"))
    with pytest.raises(NodeExecutionError) as caught:
        run(workflow)
    assert caught.value.__cause__ is error


def test_retry_calls_the_generator_function_again(
    workflow: Workflow, stream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A retry starts another generator; the log has no text of the first one's error."""
    caplog.set_level(logging.INFO, "fibonacci.workflow")
    attempts: list[Any] = [sync_generator("a", ModelError("secret", retryable=True))]
    attempts.append(sync_generator("b", "c"))
    model = lambda request: attempts.pop(0)(request)  # noqa: E731
    workflow.add_node(LLMNode("n", model, "x", retry=Retry(attempts=2, backoff=0)))
    *events, _ = stream(workflow)
    assert events == [
        NodeStarted("n"),
        NodeText("n", "a"),
        NodeRetried("n", 2),
        NodeText("n", "b"),
        NodeText("n", "c"),
        NodeFinished("n", "bc"),
    ]
    assert "ModelError" in caplog.text
    assert "secret" not in caplog.text


CHAT: Any = {"key": "chat", "scope": "workflow"}


@each_way
def test_history_records_the_joined_texts(workflow: Workflow, make: Make, run: Execute) -> None:
    """A node's history gets the joined texts of a generator as one message."""
    workflow.add_node(LLMNode("n", make("Hel", "lo"), "hi", history=CHAT))
    run(workflow)
    assert workflow.memory.history("chat", scope="workflow").messages() == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello"},
    ]


@each_way
def test_summary_of_a_generator(workflow: Workflow, make: Make, run: Execute) -> None:
    """A generator as the model that summarizes a history is joined, too."""
    summarize = make("They said ", "words.")
    compact = {"model": summarize, "keep_tokens": 200}
    history: Any = {**CHAT, "max_tokens": 500, "compact": compact}
    workflow.add_node(LLMNode("n", "echo", "word " * 100, history=history))
    for _ in range(3):
        run(workflow)
    messages = workflow.memory.history("chat", scope="workflow").messages()
    assert "They said words." in str(messages[0])


async def async_model(request: ModelRequest) -> AsyncGenerator[str]:
    yield f"<{request.prompt}"
    yield ">"


class Generators:
    """An object that is called like a generator function."""

    def __call__(self, request: ModelRequest) -> Generator[str]:
        yield from f"<{request.prompt}>"

    def method(self, request: ModelRequest) -> Generator[str]:
        return self(request)


class AsyncGenerators:
    """An object that is called like an async generator function."""

    async def __call__(self, request: ModelRequest) -> AsyncGenerator[str]:
        async for text in async_model(request):
            yield text

    async def method(self, request: ModelRequest) -> AsyncGenerator[str]:
        async for text in async_model(request):
            yield text


@pytest.mark.parametrize(
    "model",
    [
        Generators(),
        Generators().method,
        partial(Generators()),
        partial(Generators.method, Generators()),
    ],
)
def test_objects_that_return_generators(workflow: Workflow, stream: Any, model: Any) -> None:
    """Any callable that returns a generator streams, whether or not it is a generator function."""
    workflow.add_node(LLMNode("n", model, "x"))
    texts = [event.text for event in stream(workflow) if isinstance(event, NodeText)]
    assert texts == ["<", "x", ">"]


@pytest.mark.parametrize(
    "model", [async_model, AsyncGenerators(), AsyncGenerators().method, partial(async_model)]
)
def test_async_generator_needs_aexecute(workflow: Workflow, model: Any) -> None:
    """execute() refuses an async generator function as a model before anything runs."""
    ran: list[int] = []
    workflow.add_node(FunctionNode("first", lambda _: ran.append(1)))
    workflow.add_node(LLMNode("n", model, "x", dependencies=["first"]))
    for run in (execute, last_of_stream):
        with pytest.raises(
            WorkflowValidationError, match="node 'n' has an async function: use await"
        ):
            run(workflow)
    assert ran == []
    assert aexecute(workflow)["n"] == last_of_astream(workflow)["n"] == "<x>"


def test_sync_function_that_returns_an_async_generator(workflow: Workflow) -> None:
    """execute() fails a node whose function returns an async generator; aexecute() reads it."""
    workflow.add_node(LLMNode("n", lambda request: async_model(request), "x"))
    for run in (execute, last_of_stream):
        with pytest.raises(NodeExecutionError, match="can't await an async function"):
            run(workflow)
    assert aexecute(workflow)["n"] == last_of_astream(workflow)["n"] == "<x>"


def test_async_generator_function_of_a_function_node(workflow: Workflow) -> None:
    """execute() refuses a FunctionNode with an async generator function; aexecute() calls it."""

    async def generate(_: Any) -> AsyncGenerator[int]:
        yield 1

    workflow.add_node(FunctionNode("n", generate))
    with pytest.raises(WorkflowValidationError, match="node 'n' has an async function"):
        workflow.execute()

    async def main() -> list[int]:
        return [number async for number in (await workflow.aexecute())["n"]]

    assert asyncio.run(main()) == [1]
