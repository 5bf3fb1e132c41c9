"""Nodes of a workflow: attempts, memory, timeouts."""

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
from .fake_service import (
    DISCONNECT,
    SILENCE,
    FakeService,
    Reply,
    chunk,
    error_response,
    head,
    response,
    start,
    text,
)

Execute = Callable[..., Any]

CUT: Reply = [head(), *map(chunk, [start(), *text("half a reply")]), DISCONNECT]
BUSY = error_response(529, "overloaded_error", "Overloaded")


def executed(workflow: Workflow, **arguments: Any) -> Any:
    return workflow.execute(**arguments)


def executed_async(workflow: Workflow, **arguments: Any) -> Any:
    return asyncio.run(workflow.aexecute(**arguments))


def streamed(workflow: Workflow, **arguments: Any) -> Any:
    *_, last = workflow.stream(**arguments)
    assert isinstance(last, WorkflowFinished)
    return last.result


def streamed_async(workflow: Workflow, **arguments: Any) -> Any:
    async def collected() -> list[Any]:
        return [event async for event in workflow.astream(**arguments)]

    return asyncio.run(collected())[-1].result


@pytest.fixture(params=[executed, executed_async, streamed, streamed_async])
def execute(request: pytest.FixtureRequest) -> Execute:
    """Runs a workflow by execute, aexecute, stream or astream."""
    running: Execute = request.param
    return running


_memories = count()


def workflow_of(model: AnthropicModel, **fields: Any) -> Workflow:
    """Return a workflow of one node with an empty memory."""
    config = MemoryConfig(connection_url=f"memory://anthropic-{next(_memories)}")
    workflow = Workflow("w", config)
    write = {"key": "replies", "mode": "append"}
    fields = {"memory_write": write, "retry": Retry(attempts=3, backoff=0.01), **fields}
    workflow.add_node(LLMNode("n", model, "Hi {{input.name}}", **fields))
    return workflow


def run(execute: Execute, workflow: Workflow) -> Any:
    return execute(workflow, inputs={"name": "hunter2"})


def test_third_attempt_succeeds(
    service: FakeService, model: AnthropicModel, execute: Execute
) -> None:
    """Two transient errors are retried; memory is written once, at the end."""
    service.add_replies(BUSY, CUT, response("whole"))
    with workflow_of(model) as workflow:
        result = run(execute, workflow)
        assert result["n"] == "whole"
        assert result.trace["n"].attempts == 3
        assert (result.usage.input_tokens, result.usage.output_tokens) == (5, 2)
        assert workflow.memory.get("replies") == ["whole"]
    assert [received.body for received in service.requests] == [service.requests[0].body] * 3


def test_truncated_response_writes_nothing(
    service: FakeService, model: AnthropicModel, execute: Execute
) -> None:
    """A truncated response fails the node without quoting the prompt or writing to memory."""
    service.add_replies(CUT, CUT, CUT)
    with workflow_of(model) as workflow:
        with pytest.raises(NodeExecutionError, match=r"node 'n'") as caught:
            run(execute, workflow)
        assert isinstance(caught.value.cause, ModelError)
        assert "hunter2" not in f"{caught.value!r} {caught.value.cause!r}"
        assert workflow.memory.list_keys() == []
    assert len(service.requests) == 3


def test_permanent_error_is_not_retried(
    service: FakeService, model: AnthropicModel, execute: Execute
) -> None:
    """A request with a wrong key is sent once."""
    service.add_replies(error_response(401, "authentication_error"))
    with workflow_of(model) as workflow, pytest.raises(NodeExecutionError, match="401"):
        run(execute, workflow)
    assert len(service.requests) == 1


def test_retry_waits_for_retry_after(
    service: FakeService, model: AnthropicModel, execute: Execute
) -> None:
    """The retry waits as long as the service's Retry-After."""
    service.add_replies(error_response(429, "rate_limit_error", retry_after="0.7"), response("yes"))
    started = monotonic()
    with workflow_of(model, timeout=20) as workflow:
        assert run(execute, workflow)["n"] == "yes"
    assert monotonic() - started >= 0.7


def test_retry_after_beyond_the_deadline_fails_at_once(
    service: FakeService, model: AnthropicModel, execute: Execute
) -> None:
    """A Retry-After beyond the node's timeout fails the node at once."""
    service.add_replies(error_response(429, "rate_limit_error", retry_after=60))
    started = monotonic()
    late = pytest.raises(NodeExecutionError, match="429 rate_limit_error")
    with workflow_of(model, timeout=20) as workflow, late:
        run(execute, workflow)
    assert monotonic() - started < 10
    assert len(service.requests) == 1


def test_node_timeout_ends_the_request(
    service: FakeService, model: AnthropicModel, execute: Execute
) -> None:
    """The node's timeout ends the run and the request."""
    service.add_replies(response("warm"), [head(), SILENCE])
    with workflow_of(model, timeout=0.5, memory_write=None) as workflow:
        with workflow_of(model) as warm:
            run(execute, warm)
        with pytest.raises((NodeExecutionError, WorkflowTimeoutError), match=r"0\.5 s"):
            run(execute, workflow)
    assert service.disconnected.wait(60)


def test_invalid_json_output_is_retried(
    service: FakeService, model: AnthropicModel, execute: Execute
) -> None:
    """Output that is not JSON, or does not match the schema, is retried."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    service.add_replies(response('{"n":'), response('{"m": 1}'), response('{"n": ', "1}"))
    fields = {"output_format": "json", "output_schema": schema}
    with workflow_of(model, **fields) as workflow:
        result = run(execute, workflow)
        assert result["n"] == {"n": 1}
        assert result.trace["n"].attempts == 3
        assert workflow.memory.get("replies") == [{"n": 1}]


def test_independent_nodes_send_concurrently(execute: Execute) -> None:
    """Nodes without dependencies send their requests concurrently."""
    together = Barrier(4)

    def reply(_: object) -> Reply:
        together.wait(20)
        return response("yes")

    with FakeService(respond=reply) as service, Workflow("w") as workflow:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url)
        for name in "abcd":
            workflow.add_node(LLMNode(name, model, "Hi"))
        assert dict(execute(workflow)) == dict.fromkeys("abcd", "yes")


def test_deltas_reach_the_reader_immediately(service: FakeService, model: AnthropicModel) -> None:
    """A streamed run yields each delta before the next one arrives."""
    service.add_replies([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    with workflow_of(model) as workflow:
        events = workflow.stream(inputs={"name": "Ada"})
        assert next(event.text for event in events if isinstance(event, NodeText)) == "Hel"
        events.close()
        assert service.disconnected.wait(60)
        assert workflow.memory.list_keys() == []
