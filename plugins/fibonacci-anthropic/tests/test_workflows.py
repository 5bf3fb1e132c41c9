"""Nodes that ask the service: their attempts, their memory, their time."""

import asyncio
from collections.abc import Callable
from itertools import count
from threading import Barrier
from time import monotonic
from typing import Any

import pytest

from fibonacci import (
    LLMNode,
    MemoryConfig,
    ModelError,
    NodeExecutionError,
    NodeText,
    Retry,
    Workflow,
    WorkflowFinished,
    WorkflowTimeoutError,
)
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY
from .wire import HANG_UP, SILENCE, Reply, Wire, answer, chunk, head, start, status, text

Execute = Callable[..., Any]

CUT: Reply = [head(), *map(chunk, [start(), *text("half an answer")]), HANG_UP]
BUSY = status(529, "overloaded_error", "Overloaded")


def executed(workflow: Workflow, **arguments: Any) -> Any:
    return workflow.execute(**arguments)


def awaited(workflow: Workflow, **arguments: Any) -> Any:
    return asyncio.run(workflow.aexecute(**arguments))


def streamed(workflow: Workflow, **arguments: Any) -> Any:
    *_, last = workflow.stream(**arguments)
    assert isinstance(last, WorkflowFinished)
    return last.result


def streamed_and_awaited(workflow: Workflow, **arguments: Any) -> Any:
    async def collected() -> list[Any]:
        return [event async for event in workflow.astream(**arguments)]

    return asyncio.run(collected())[-1].result


@pytest.fixture(params=[executed, awaited, streamed, streamed_and_awaited])
def execute(request: pytest.FixtureRequest) -> Execute:
    """Runs a workflow in each of the ways in which it can be run."""
    running: Execute = request.param
    return running


_memories = count()


def workflow_of(model: AnthropicModel, **fields: Any) -> Workflow:
    """A workflow of one node, with an empty memory."""
    config = MemoryConfig(connection_url=f"memory://anthropic-{next(_memories)}")
    workflow = Workflow("w", config)
    said = {"key": "said", "mode": "append"}
    fields = {"memory_write": said, "retry": Retry(attempts=3, backoff=0.01), **fields}
    workflow.add_node(LLMNode("n", model, "Hi {{input.name}}", **fields))
    return workflow


def run(execute: Execute, workflow: Workflow) -> Any:
    return execute(workflow, inputs={"name": "hunter2"})


def test_the_third_attempt_succeeds(wire: Wire, model: AnthropicModel, execute: Execute) -> None:
    """Two failures of different kinds are tried again; memory is written once, at the end."""
    wire.plays(BUSY, CUT, answer("whole"))
    with workflow_of(model) as workflow:
        result = run(execute, workflow)
        assert result["n"] == "whole"
        assert result.trace["n"].attempts == 3
        assert (result.usage.input_tokens, result.usage.output_tokens) == (5, 2)
        assert workflow.memory.get("said") == ["whole"]
    assert [asked.body for asked in wire.asked] == [wire.asked[0].body] * 3


def test_a_cut_answer_writes_nothing(wire: Wire, model: AnthropicModel, execute: Execute) -> None:
    """Half an answer is none: the node fails, without a word of the prompt, and nothing is kept."""
    wire.plays(CUT, CUT, CUT)
    with workflow_of(model) as workflow:
        with pytest.raises(NodeExecutionError, match=r"node 'n'") as caught:
            run(execute, workflow)
        assert isinstance(caught.value.cause, ModelError)
        assert "hunter2" not in f"{caught.value!r} {caught.value.cause!r}"
        assert workflow.memory.list_keys() == []
    assert len(wire.asked) == 3


def test_what_will_not_pass_is_not_tried_again(
    wire: Wire, model: AnthropicModel, execute: Execute
) -> None:
    """A wrong key is asked with once."""
    wire.plays(status(401, "authentication_error"))
    with workflow_of(model) as workflow, pytest.raises(NodeExecutionError, match="401"):
        run(execute, workflow)
    assert len(wire.asked) == 1


def test_retry_after_is_heeded(wire: Wire, model: AnthropicModel, execute: Execute) -> None:
    """The next attempt comes when the service said, and not before."""
    wire.plays(status(429, "rate_limit_error", retry_after="0.7"), answer("yes"))
    begin = monotonic()
    with workflow_of(model, timeout=20) as workflow:
        assert run(execute, workflow)["n"] == "yes"
    assert monotonic() - begin >= 0.7


def test_retry_after_the_deadline(wire: Wire, model: AnthropicModel, execute: Execute) -> None:
    """What the service would have wait beyond the node's time fails at once."""
    wire.plays(status(429, "rate_limit_error", retry_after=60))
    begin = monotonic()
    late = pytest.raises(NodeExecutionError, match="429 rate_limit_error")
    with workflow_of(model, timeout=20) as workflow, late:
        run(execute, workflow)
    assert monotonic() - begin < 10
    assert len(wire.asked) == 1


def test_a_node_that_is_late(wire: Wire, model: AnthropicModel, execute: Execute) -> None:
    """At the node's timeout the run ends, and so does the request."""
    wire.plays(answer("warm"), [head(), SILENCE])
    with workflow_of(model, timeout=0.5, memory_write=None) as workflow:
        with workflow_of(model) as warm:
            run(execute, warm)
        with pytest.raises((NodeExecutionError, WorkflowTimeoutError), match=r"0\.5 s"):
            run(execute, workflow)
    assert wire.left.wait(60)


def test_an_answer_that_is_cut_by_its_tokens_is_no_json(
    wire: Wire, model: AnthropicModel, execute: Execute
) -> None:
    """An answer in JSON is checked by core, and asked for again where it does not fit."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wire.plays(answer('{"n":'), answer('{"m": 1}'), answer('{"n": ', "1}"))
    fields = {"output_format": "json", "output_schema": schema}
    with workflow_of(model, **fields) as workflow:
        result = run(execute, workflow)
        assert result["n"] == {"n": 1}
        assert result.trace["n"].attempts == 3
        assert workflow.memory.get("said") == [{"n": 1}]


def test_nodes_beside_each_other(execute: Execute) -> None:
    """Nodes that do not need each other ask at once: none is answered before all have asked."""
    together = Barrier(4)

    def reply(_: object) -> Reply:
        together.wait(20)
        return answer("yes")

    with Wire(answers=reply) as wire, Workflow("w") as workflow:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=wire.url)
        for name in "abcd":
            workflow.add_node(LLMNode(name, model, "Hi"))
        assert dict(execute(workflow)) == dict.fromkeys("abcd", "yes")


def test_the_pieces_reach_the_reader(wire: Wire, model: AnthropicModel) -> None:
    """A streamed run tells each piece of the answer while the next one is still to come."""
    wire.plays([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    with workflow_of(model) as workflow:
        events = workflow.stream(inputs={"name": "Ada"})
        assert next(one.text for one in events if isinstance(one, NodeText)) == "Hel"
        events.close()
        assert wire.left.wait(60)
        assert workflow.memory.list_keys() == []
