"""The types of the workflow API as users see them; type checkers read it, nothing runs it."""

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, assert_never, assert_type

from fibonacci import (
    NO_EXPIRY,
    Event,
    ExecutionResult,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    MemoryKey,
    MemoryManager,
    MemoryRead,
    MemoryWrite,
    MemoryWritten,
    NestedEvent,
    Node,
    NodeContext,
    NodeExecutionError,
    NodeFailed,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeText,
    NodeTrace,
    Retry,
    RunMemory,
    Workflow,
    WorkflowFinished,
    literal,
)
from fibonacci.plugin import Completion, Model, ModelRequest, Usage
from fibonacci.testing import ScriptedModel, fresh_memory, override_model

workflow = Workflow(
    name="typed",
    memory_config=MemoryConfig(backend="memory"),
    description="what it is for",
    version="1",
    organization_id="acme",
    timeout=30,
    max_concurrency=4,
    templating="builtin",
)


class Own(Model):
    """A model of one's own."""

    def complete(self, request: ModelRequest) -> Completion:
        """Answer."""
        return Completion(text=request.prompt, usage=Usage(input_tokens=1))


def answer(request: ModelRequest) -> str:
    """A function as a model."""
    return request.prompt


async def later(request: ModelRequest) -> str:
    """An async one."""
    return request.prompt


chat = LLMNode(
    id="chat",
    model="claude-sonnet-4-5-20250929",
    prompt="{{memory.history}} {{memory.name}} {{input.message}}",
    dependencies=["first"],
    memory_read=["history", {"key": "profile:name", "scope": "user", "default": "", "as": "name"}],
    memory_write={"key": "said", "scope": "user", "ttl": 3600, "mode": "append", "max_items": 20},
    system_prompt="Be brief.",
    max_tokens=100,
    temperature=0.5,
    stop=["END"],
    output_format="json",
    timeout=10,
    retry=Retry(attempts=3, backoff=0.1, jitter=0),
)
workflow.add_node(chat)
workflow.add_node(LLMNode("own", Own(), "x", memory_write="key", retry=3))
workflow.add_node(LLMNode("answer", answer, "x", memory_write=["a", {"key": "b"}]))
workflow.add_node(LLMNode("plain", answer, literal("{{x}}"), system_prompt=literal("{{#if u}}")))
workflow.add_node(LLMNode("later", later, "x", memory_read=("a", "b")))


def first(ctx: NodeContext) -> int:
    """The context of a function."""
    assert_type(ctx.inputs, Mapping[str, Any])
    assert_type(ctx.results, Mapping[str, Any])
    assert_type(ctx.memory_values, Mapping[str, Any])
    assert_type(ctx.user_id, str | None)
    assert_type(ctx.organization_id, str)
    assert_type(ctx.memory, RunMemory)
    return ctx.memory.append("k", 1, scope="user")


async def second(ctx: NodeContext) -> bool:
    """An async function awaits the memory."""
    return await ctx.memory.adelete("k")


workflow.add_node(FunctionNode("first", first))
workflow.add_node(FunctionNode("second", second, dependencies=("first",), timeout=0.5))
workflow.add_node(FunctionNode("third", lambda ctx: len(ctx.results)))

reading: MemoryRead = {"key": "profile:name", "scope": "user", "default": "", "as": "name"}
writing: MemoryWrite = {"key": "said", "ttl": NO_EXPIRY}
nodes: list[Node] = [
    LLMNode("one", "echo", "x", memory_read=[reading, "history"], memory_write=writing),
    FunctionNode("two", first, memory_write=[writing, "last", {"key": "n", "mode": "increment"}]),
]
for node in nodes:
    workflow.add_node(node)
assert_type(workflow.nodes, tuple[Node, ...])

result = workflow.execute(inputs={"message": "hi"}, user_id="u", organization_id="acme")
assert_type(result, ExecutionResult)
assert_type(result["chat"], Any)
assert_type(result.trace["chat"], NodeTrace)
assert_type(result.trace["chat"].read, tuple[MemoryKey, ...])
assert_type(result.trace["chat"].attempts, int)
assert_type(result.usage, Usage)
assert_type(workflow.memory, MemoryManager)
assert_type(workflow.to_mermaid(), str)
assert_type(workflow.validate(), None)

events = workflow.stream(inputs={"message": "hi"}, user_id="u", organization_id="acme")
assert_type(events, Generator[Event, None, None])
for event in events:
    assert_type(
        event,
        NodeStarted
        | NodeText
        | NodeRetried
        | NodeFinished
        | NodeFailed
        | MemoryWritten
        | NestedEvent
        | WorkflowFinished,
    )
    match event:
        case NodeText(node_id, text):
            assert_type((node_id, text), tuple[str, str])
        case MemoryWritten(keys=keys):
            assert_type(keys, tuple[MemoryKey, ...])
        case NodeRetried(attempt=attempt):
            assert_type(attempt, int)
        case NodeStarted() | NodeFinished():
            assert_type(event.node_id, str)
        case NodeFailed(error=error):
            assert_type(error, BaseException)
        case NestedEvent(event=nested):
            assert_type(nested, Event)
        case WorkflowFinished(whole):
            assert_type(whole, ExecutionResult)
        case _:
            assert_never(event)

with workflow as entered:
    assert_type(entered, Workflow)


async def in_a_loop() -> None:
    """The async mode."""
    assert_type(await workflow.aexecute({"message": "hi"}, "u"), ExecutionResult)
    async for event in workflow.astream({"message": "hi"}, "u"):
        assert_type(event.node_id if isinstance(event, NodeText) else None, str | None)
    assert_type(workflow.astream(), AsyncGenerator[Event, None])
    async with workflow as one:
        assert_type(one, Workflow)


def in_tests() -> None:
    """The testing helpers."""
    with override_model("claude-*", ScriptedModel("Hello", Completion(text="Bye"))) as model:
        assert_type(model, ScriptedModel)
        assert_type(model.requests, list[ModelRequest])
    with (
        override_model("claude-*", answer),
        override_model("a:b", "echo"),
        fresh_memory() as memory,
    ):
        assert_type(memory, MemoryManager)


Retry(on=KeyError)
Retry(on=(OSError, KeyError))
Retry(on=lambda error: "busy" in str(error))


def attributes_of_an_error(error: NodeExecutionError) -> None:
    """The attributes that an error handler can use."""
    assert_type(error.node_id, str)
    assert_type(error.cause, BaseException | None)
    assert_type(error.results, dict[str, object])
    assert_type(error.trace, dict[str, object])


def what_is_refused() -> None:
    """Each line is an error to both type checkers; an unused ignore would be one, too."""
    LLMNode("n", "echo")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    LLMNode("n", 3, "x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", output_format="yaml")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", memory_raed=["k"])  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    LLMNode("n", "echo", "x", memory_read=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", memory_read=[{"kye": "k"}])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", memory_read=[{"key": "k", "scope": "usr"}])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", memory_read=[{"scope": "user"}])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", memory_write={"key": "k", "mod": "append"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", memory_write={"key": "k", "mode": "apend"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", memory_write=["k", {"key": "k", "ttl": "60"}])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    LLMNode("n", "echo", "x", dependencies=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    FunctionNode("n", lambda: 1)  # type: ignore[misc,arg-type] # pyright: ignore[reportArgumentType]
    Retry(on="KeyError")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Retry(on=KeyboardInterrupt)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    override_model("claude-*", 3)  # type: ignore[type-var] # pyright: ignore[reportArgumentType]
    ScriptedModel(["Hello"])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    FunctionNode("n", first, retry="3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    workflow.add_node("n")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    workflow.execute(user="u")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    chat.prompt = "other"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    result["chat"] = "x"  # type: ignore[index] # pyright: ignore[reportIndexIssue]
