"""stream() and astream() emit the events of the same run as execute()."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from threading import Barrier
from typing import Any

import attrs
import pytest

from fibonacci import (
    BackendUnavailableError,
    FibonacciError,
    FunctionNode,
    InvalidArgumentError,
    LLMNode,
    MemoryConfig,
    MemoryKey,
    MemoryWritten,
    ModelError,
    NodeExecutionError,
    NodeFailed,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeText,
    Retry,
    ScopeError,
    Workflow,
    WorkflowFinished,
    WorkflowValidationError,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Completion, Model, ModelRequest, TextDelta, Usage

Deltas = Generator[TextDelta | Completion]
StreamFunction = Callable[[ModelRequest], Deltas]


class GeneratorModel(Model):
    """Streams what a generator yields, in sync and async code."""

    def __init__(self, function: StreamFunction) -> None:
        self._function = function

    def complete(self, request: ModelRequest) -> Completion:
        *_, whole = self._function(request)
        assert isinstance(whole, Completion)
        return whole

    def stream(self, request: ModelRequest) -> Deltas:
        yield from self._function(request)

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        for piece in self._function(request):
            yield piece


def words(request: ModelRequest) -> Deltas:
    """The words of the prompt, one after the other."""
    for word in request.prompt.split():
        yield TextDelta(word)
    text = "".join(request.prompt.split())
    yield Completion(text=text, usage=Usage(output_tokens=len(text)))


def test_events_of_a_run(workflow: Workflow, stream: Any) -> None:
    """A node emits its start, deltas, end and writes; the last event has the result."""
    said: list[Any] = ["said", {"key": "last"}]
    workflow.add_node(
        LLMNode("chat", GeneratorModel(words), "Hello {{input.name}}", memory_write=said)
    )
    workflow.add_node(
        FunctionNode("length", lambda ctx: len(ctx.results["chat"]), dependencies=["chat"])
    )
    *events, last = stream(workflow, {"name": "Ada"})
    keys = (MemoryKey("workflow", "said"), MemoryKey("workflow", "last"))
    assert events == [
        NodeStarted("chat"),
        NodeText("chat", "Hello"),
        NodeText("chat", "Ada"),
        NodeFinished("chat", "HelloAda"),
        MemoryWritten("chat", keys),
        NodeStarted("length"),
        NodeFinished("length", 8),
    ]
    assert isinstance(last, WorkflowFinished)
    assert last.result == {"chat": "HelloAda", "length": 8}
    assert last.result.usage == Usage(output_tokens=8)
    assert last.result.trace["chat"].written == keys
    assert workflow.memory.get("said") == "HelloAda"


def test_completion_without_deltas(workflow: Workflow, stream: Any) -> None:
    """A model without deltas emits its text as one, and an empty completion emits none."""
    workflow.add_node(LLMNode("a", "echo", "the whole"))
    workflow.add_node(LLMNode("b", lambda _: "", "{{a}}"))
    assert [event for event in stream(workflow) if isinstance(event, NodeText)] == [
        NodeText("a", "the whole")
    ]


def test_whitespace_delta(workflow: Workflow, stream: Any) -> None:
    """A delta that is only whitespace is emitted."""
    pieces = ["a", "\n", " ", "b"]

    def spaced(_: ModelRequest) -> Deltas:
        yield from map(TextDelta, pieces)
        yield Completion(text="a\n b")

    workflow.add_node(LLMNode("n", GeneratorModel(spaced), "x"))
    texts = [event.text for event in stream(workflow) if isinstance(event, NodeText)]
    assert texts == pieces


def test_json_output_streams_its_text(workflow: Workflow, stream: Any) -> None:
    """The deltas of JSON output are its text; the output is its value."""
    workflow.add_node(LLMNode("n", GeneratorModel(words), '{"a": [1, 2]}', output_format="json"))
    events = list(stream(workflow))
    assert [event.text for event in events if isinstance(event, NodeText)] == [
        '{"a":',
        "[1,",
        "2]}",
    ]
    assert NodeFinished("n", {"a": [1, 2]}) in events


def test_retry_after_a_broken_stream(workflow: Workflow, stream: Any) -> None:
    """NodeRetried voids the deltas so far; those after it are the output."""
    errors = [ModelError("broke off", retryable=True), ModelError("busy", retryable=True)]

    def broken(request: ModelRequest) -> Deltas:
        if len(errors) == 1:
            raise errors.pop()
        yield TextDelta("Hel")
        if errors:
            raise errors.pop()
        yield TextDelta("lo")
        yield Completion(text="Hello")

    retry = Retry(attempts=3, backoff=0)
    workflow.add_node(LLMNode("n", GeneratorModel(broken), "x", memory_write="k", retry=retry))
    *events, last = stream(workflow)
    assert events == [
        NodeStarted("n"),
        NodeText("n", "Hel"),
        NodeRetried("n", 2),
        NodeRetried("n", 3),
        NodeText("n", "Hel"),
        NodeText("n", "lo"),
        NodeFinished("n", "Hello"),
        MemoryWritten("n", (MemoryKey("workflow", "k"),)),
    ]
    assert last.result.trace["n"].attempts == 3


def test_retry_after_invalid_json(workflow: Workflow, stream: Any) -> None:
    """NodeRetried voids the deltas of a completion that is not JSON."""
    answers = iter(["{", "{}"])
    model = GeneratorModel(lambda _: words(ModelRequest(prompt=next(answers))))
    workflow.add_node(
        LLMNode("n", model, "x", output_format="json", retry=Retry(attempts=2, backoff=0))
    )
    *events, _ = stream(workflow)
    assert events == [
        NodeStarted("n"),
        NodeText("n", "{"),
        NodeRetried("n", 2),
        NodeText("n", "{}"),
        NodeFinished("n", {}),
    ]


def test_function_retries_are_emitted(workflow: Workflow, stream: Any) -> None:
    """A function's retries are emitted as NodeRetried."""
    errors = [OSError()]

    def flaky(_: Any) -> str:
        if errors:
            raise errors.pop()
        return "done"

    workflow.add_node(FunctionNode("n", flaky, retry=Retry(attempts=2, backoff=0)))
    *events, _ = stream(workflow)
    assert events == [NodeStarted("n"), NodeRetried("n", 2), NodeFinished("n", "done")]


def nothing(_: ModelRequest) -> Deltas:
    yield from ()


def no_end(_: ModelRequest) -> Deltas:
    yield TextDelta("and so on")


def no_piece(_: ModelRequest) -> Any:
    yield "text"


@pytest.mark.parametrize("function", [nothing, no_end, no_piece])
def test_invalid_model_stream(workflow: Workflow, stream: Any, function: Any) -> None:
    """A model's stream without a Completion, or of other objects, fails the node, once."""
    workflow.add_node(LLMNode("n", GeneratorModel(function), "x", retry=3))
    with pytest.raises(NodeExecutionError, match="a model must stream TextDeltas") as caught:
        list(stream(workflow))
    assert isinstance(caught.value.cause, WorkflowValidationError)


def test_model_stream_must_end_with_a_completion(workflow: Workflow, stream: Any) -> None:
    """A model's stream that ends with anything but a Completion fails the node, once."""

    class Wrong(Model):
        def complete(self, request: ModelRequest) -> Any:
            return "text"

    workflow.add_node(LLMNode("n", Wrong(), "x", retry=3))
    with pytest.raises(NodeExecutionError, match="end with a Completion, not str") as caught:
        list(stream(workflow))
    assert isinstance(caught.value.cause, WorkflowValidationError)


def test_nothing_is_read_after_the_completion(workflow: Workflow, stream: Any) -> None:
    """The Completion ends a model's stream, whatever the model yields after it."""

    def chatty(_: ModelRequest) -> Deltas:
        yield Completion(text="")
        yield TextDelta("P.S.")

    workflow.add_node(LLMNode("n", GeneratorModel(chatty), "x"))
    *events, _ = stream(workflow)
    assert events == [NodeStarted("n"), NodeFinished("n", "")]


def refused(*nodes: Any) -> tuple[type[FibonacciError], str]:
    """Return the error of execute() without arguments for these nodes."""
    with pytest.raises(FibonacciError) as caught:
        flow(*nodes).execute()
    return type(caught.value), str(caught.value)


def flow(*nodes: Any) -> Workflow:
    workflow = Workflow("flow")
    for node in nodes:
        workflow.add_node(node)
    return workflow


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ([], WorkflowValidationError),
        ([FunctionNode("n", lambda _: 1, dependencies=["m"])], WorkflowValidationError),
        ([LLMNode("n", "echo", "{{input.x}}")], InvalidArgumentError),
        ([LLMNode("n", "echo", "x", memory_write={"key": "k", "scope": "user"})], ScopeError),
        ([FunctionNode("n", lambda _: {}["x"])], NodeExecutionError),
        ([LLMNode("n", "scripted:[]", "x")], NodeExecutionError),
    ],
)
def test_errors_are_those_of_execute(stream: Any, nodes: Any, kind: type[FibonacciError]) -> None:
    """A stream raises what execute() raises: the same type and the same text."""
    with pytest.raises(kind) as caught:
        list(stream(flow(*nodes)))
    assert (type(caught.value), str(caught.value)) == refused(*nodes)


def test_running_nodes_end_before_the_error(workflow: Workflow, stream: Any) -> None:
    """Running nodes end, and emit their events; then the stream raises the error."""
    together = Barrier(2)

    def bad(_: Any) -> None:
        together.wait(5)
        raise ValueError

    workflow.add_node(FunctionNode("bad", bad))
    workflow.add_node(FunctionNode("fine", lambda _: together.wait(5) >= 0, memory_write="k"))
    events: list[Any] = []
    with pytest.raises(NodeExecutionError, match="node 'bad' failed") as caught:
        events.extend(stream(workflow))  # the list has the events before the error
    assert set(map(type, events)) == {NodeStarted, NodeFinished, NodeFailed, MemoryWritten}
    assert [event.error for event in events if isinstance(event, NodeFailed)] == [
        caught.value.__cause__
    ]
    assert {event.node_id for event in events} == {"bad", "fine"}
    assert caught.value.results == {"fine": True}


def test_failed_write_follows_the_output(stream: Any) -> None:
    """An output is emitted before it is written; if that fails, the error follows."""

    class Away(LocalStore):
        def write(self, address: Address, *args: Any, **kwargs: Any) -> None:
            raise BackendUnavailableError("away")

    workflow = Workflow("flow", MemoryConfig(Away()))
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_write="k"))
    events = stream(workflow)
    assert [next(events), next(events)] == [NodeStarted("n"), NodeFinished("n", 1)]
    failed = next(events)
    with pytest.raises(NodeExecutionError, match="BackendUnavailableError: away") as caught:
        next(events)
    assert isinstance(failed, NodeFailed)
    assert (failed.node_id, failed.error) == ("n", caught.value.__cause__)


def test_stream_is_lazy(workflow: Workflow, stream: Any) -> None:
    """A stream that nobody reads runs nothing, and checks nothing."""
    ran: list[int] = []
    workflow.add_node(FunctionNode("n", lambda _: ran.append(1)))
    stream(workflow, inputs=3).close()
    assert ran == []


def test_async_functions(workflow: Workflow) -> None:
    """astream() awaits async functions, as nodes and as models; stream() refuses them."""

    async def later(_: Any) -> str:
        await asyncio.sleep(0)
        return "later"

    workflow.add_node(FunctionNode("node", later))
    workflow.add_node(LLMNode("model", later, "x"))
    with pytest.raises(WorkflowValidationError, match=r"or workflow.astream\(...\)"):
        next(workflow.stream())

    async def read() -> Any:
        return [event async for event in workflow.astream()]

    *_, last = asyncio.run(read())
    assert last.result == {"node": "later", "model": "later"}


reader: ContextVar[str] = ContextVar("reader", default="nobody")


@pytest.mark.parametrize("timeout", [None, 60])
def test_nodes_see_the_readers_context(workflow: Workflow, stream: Any, timeout: Any) -> None:
    """Nodes see the context variables of the reader of the first event."""
    workflow.add_node(FunctionNode("a", lambda _: reader.get(), timeout=timeout))
    workflow.add_node(LLMNode("b", lambda _: reader.get(), "x", timeout=timeout))
    token = reader.set("Ada")
    try:
        *_, last = stream(workflow)
    finally:
        reader.reset(token)
    assert last.result == {"a": "Ada", "b": "Ada"}


def test_stream_does_not_import_asyncio() -> None:
    """stream() does not import asyncio, which takes 62 ms."""
    program = (
        "import sys; from fibonacci import LLMNode, Workflow; workflow = Workflow('flow'); "
        "workflow.add_node(LLMNode('n', 'echo', 'x', timeout=60)); "
        "print(len([*workflow.stream()])); sys.exit('asyncio' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "4\n", "")


def test_events_are_values() -> None:
    """Events are frozen, compare by value, match by position, and show no text in their repr."""
    event = NodeText("n", "secret")
    assert "secret" not in f"{event} {NodeFinished('n', 'secret')}"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.text = "other"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    match event:
        case NodeText(node_id, text):
            assert (node_id, text) == ("n", "secret")
