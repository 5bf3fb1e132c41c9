"""Streams of random graphs: their events are in order, their result equals execute()'s."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from itertools import islice
from threading import Lock
from typing import Any, assert_never

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fibonacci import (
    Event,
    ExecutionResult,
    FunctionNode,
    LLMNode,
    MemoryKey,
    MemoryWritten,
    ModelError,
    NestedEvent,
    NodeFailed,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeText,
    Retry,
    Workflow,
    WorkflowFinished,
)
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta


@attrs.frozen
class Plan:
    """One node of a random graph."""

    kind: str
    needs: frozenset[int]
    sizes: tuple[int, ...]
    """Of the pieces of each of its attempts but the last; it breaks after them."""
    cut: int
    """How long the pieces of its last attempt are."""
    writes: int


@st.composite
def graphs(draw: st.DrawFn) -> list[Plan]:
    """Up to a dozen nodes: functions and models, which fail and write as they like."""
    return [
        Plan(
            kind=draw(st.sampled_from(["function", "text", "json"])),
            needs=frozenset(draw(st.sets(st.integers(0, node - 1), max_size=3)) if node else ()),
            sizes=tuple(draw(st.lists(st.integers(0, 3), max_size=2))),
            cut=draw(st.integers(1, 4)),
            writes=draw(st.integers(0, 2)),
        )
        for node in range(draw(st.integers(1, 12)))
    ]


class Breaking(Model):
    """Answers with its prompt, cut in pieces; some attempts break off before the end."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = Lock()
        self._attempt = 0

    def complete(self, request: ModelRequest) -> Completion:
        *_, whole = self.stream(request)
        assert isinstance(whole, Completion)
        return whole

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        with self._lock:
            attempt = self._attempt % (len(self._plan.sizes) + 1)
            self._attempt += 1
        text, cut = request.prompt, self._plan.cut
        pieces = [text[start : start + cut] for start in range(0, len(text), cut)]
        broken = attempt < len(self._plan.sizes)
        for piece in pieces[: self._plan.sizes[attempt]] if broken else pieces:
            yield TextDelta(piece)
        if broken:
            raise ModelError("broke off", retryable=True)
        yield Completion(text=text)

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        for piece in self.stream(request):
            await asyncio.sleep(0)
            yield piece


def built(graph: list[Plan], limit: int | None) -> Workflow:
    workflow = Workflow("random", max_concurrency=limit)
    for number, plan in enumerate(graph):
        workflow.add_node(node(number, plan))
    return workflow


def node(number: int, plan: Plan) -> Any:
    needs = [f"n{need}" for need in sorted(plan.needs)]
    common: dict[str, Any] = {
        "dependencies": needs,
        "memory_write": [f"k{number}-{write}" for write in range(plan.writes)],
        "retry": Retry(attempts=3, backoff=0),
    }
    if plan.kind == "function":
        return FunctionNode(f"n{number}", lambda ctx: len(ctx.results), **common)
    prompt = "[" + "0,".join(f"{{{{{need}}}}}" for need in needs) * (plan.kind == "text") + "]"
    form: Any = "json" if plan.kind == "json" else "text"
    return LLMNode(f"n{number}", Breaking(plan), prompt, output_format=form, **common)


class Reader:
    """Follows the grammar of a node: started, texts, perhaps again, finished, written."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state = "waiting"
        self.text = ""
        self.attempt = 1

    def read(self, event: Event) -> None:
        match event:
            case NodeStarted():
                self.go("waiting", "started")
            case NodeText(_, text):
                self.go("started", "started")
                assert text
                self.text += text
            case NodeRetried(_, attempt):
                self.go("started", "started")
                assert attempt == self.attempt + 1
                self.text, self.attempt = "", attempt
            case NodeFinished(_, output):
                self.go("started", "finished" if self.plan.writes else "ended")
                self.check(output)
            case MemoryWritten(node_id, keys):
                self.go("finished", "ended")
                names = (f"k{node_id[1:]}-{write}" for write in range(self.plan.writes))
                assert keys == tuple(MemoryKey("workflow", name) for name in names)
            case WorkflowFinished() | NodeFailed() | NestedEvent():
                raise AssertionError("no node of these graphs fails, or runs another workflow")
            case _:
                assert_never(event)

    def go(self, before: str, after: str) -> None:
        assert self.state == before
        self.state = after

    def check(self, output: Any) -> None:
        expected = {"function": "", "json": "[]", "text": output}
        assert self.text == expected[self.plan.kind]
        assert self.attempt == (1 if self.plan.kind == "function" else len(self.plan.sizes) + 1)


def result_of(graph: list[Plan], events: list[Event]) -> ExecutionResult:
    """The result at the end of events that are well formed."""
    readers = {f"n{number}": Reader(plan) for number, plan in enumerate(graph)}
    *of_nodes, last = events
    for event in of_nodes:
        assert not isinstance(event, WorkflowFinished)
        reader = readers[event.node_id]
        if isinstance(event, NodeStarted):
            assert all(readers[f"n{need}"].state == "ended" for need in reader.plan.needs)
        reader.read(event)
    assert isinstance(last, WorkflowFinished)
    assert all(reader.state == "ended" for reader in readers.values())
    return last.result


async def collected(workflow: Workflow) -> list[Event]:
    return [event async for event in workflow.astream()]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs(), limit=st.sampled_from([None, 1, 2]))
def test_random_graphs(graph: list[Plan], limit: int | None) -> None:
    """Each node's events are in order, its deltas are its output, and results equal execute()'s."""
    workflow = built(graph, limit)
    executed = workflow.execute()
    streamed = result_of(graph, list(workflow.stream()))
    astreamed = result_of(graph, asyncio.run(collected(workflow)))
    assert dict(streamed) == dict(astreamed) == dict(executed)
    assert streamed.usage == executed.usage
    for node_id, trace in executed.trace.items():
        for other in (streamed.trace[node_id], astreamed.trace[node_id]):
            assert (other.attempts, other.written) == (trace.attempts, trace.written)


def read_some(workflow: Workflow, count: int) -> list[Event]:
    """Read so many events, and close."""
    with closing(workflow.stream()) as events:
        return list(islice(events, count))


def read_some_in_a_loop(workflow: Workflow, count: int) -> list[Event]:
    async def read() -> list[Event]:
        found: list[Event] = []
        async with aclosing(workflow.astream()) as events:
            while len(found) < count and (event := await anext(events, None)) is not None:
                found.append(event)
        return found

    return asyncio.run(read())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    graph=graphs(),
    limit=st.sampled_from([None, 1, 2]),
    beginning=st.sampled_from([read_some, read_some_in_a_loop]),
    stop=st.integers(0, 80),
)
def test_close_anywhere_writes_all_or_nothing(
    graph: list[Plan], limit: int | None, beginning: Any, stop: int
) -> None:
    """Wherever a stream is closed, each node has written all of its records, or none."""
    workflow = built(graph, limit)
    workflow.memory.clear()
    read = beginning(workflow, stop)
    known = set(workflow.memory.list_keys())
    written = {event.node_id for event in read if isinstance(event, MemoryWritten)}
    for number, plan in enumerate(graph):
        mine = {f"k{number}-{write}" for write in range(plan.writes)}
        assert known & mine in (set(), mine)
        assert mine <= known or f"n{number}" not in written
    assert set(workflow.memory.list_keys()) == known
