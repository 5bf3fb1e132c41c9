"""ExecutionResult: outputs, traces and usage."""

import pickle
import time
from collections.abc import Mapping
from typing import Any

import pytest

from fibonacci import ExecutionResult, FunctionNode, LLMNode, NodeTrace, Workflow
from fibonacci.plugin import Completion, ModelRequest, Usage


@pytest.fixture
def chat(workflow: Workflow) -> Workflow:
    """A workflow of two nodes, one of them with tokens."""

    def model(request: ModelRequest) -> Completion:
        return Completion(text="secret", usage=Usage(input_tokens=3, output_tokens=5))

    workflow.add_node(LLMNode("ask", model, "x"))
    workflow.add_node(LLMNode("again", model, "{{ask}}"))
    workflow.add_node(FunctionNode("f", lambda _: ["secret"]))
    return workflow


def test_result_is_a_mapping(chat: Workflow, execute: Any) -> None:
    """A result is a read-only Mapping from node ids to outputs."""
    result = execute(chat)
    assert isinstance(result, ExecutionResult)
    assert isinstance(result, Mapping)
    assert dict(result) == {"ask": "secret", "again": "secret", "f": ["secret"]}
    assert (len(result), "ask" in result, "other" in result) == (3, True, False)
    with pytest.raises(KeyError, match="other"):
        result["other"]
    with pytest.raises(TypeError):
        result["new"] = 1  # type: ignore[index] # pyright: ignore[reportIndexIssue]


def test_trace(chat: Workflow, execute: Any) -> None:
    """A trace has the wall-clock times of a node, and its number of attempts."""
    before = time.time()
    traces = execute(chat).trace
    after = time.time()
    assert [*traces] == ["ask", "again", "f"]
    for node_id, trace in traces.items():
        assert isinstance(trace, NodeTrace)
        assert (trace.node_id, trace.attempts) == (node_id, 1)
        assert before - 0.1 <= trace.start <= trace.end <= after + 0.1
        assert (trace.read, trace.written) == ((), ())
    assert traces["ask"].end <= traces["again"].start


def test_usage(chat: Workflow, execute: Any) -> None:
    """Each trace has its node's tokens, and the result has their sum."""
    result = execute(chat)
    assert result.trace["ask"].usage == Usage(input_tokens=3, output_tokens=5)
    assert result.trace["f"].usage == Usage()
    assert result.usage == Usage(input_tokens=6, output_tokens=10)


def test_reprs_show_no_outputs(chat: Workflow, execute: Any) -> None:
    """The reprs of a result and of a trace show no output (C23)."""
    result = execute(chat)
    assert repr(result) == "<ExecutionResult of ask, again, f>"
    assert "secret" not in repr(result.trace)


def test_result_survives_pickling(chat: Workflow, execute: Any) -> None:
    """A result can be pickled."""
    result = execute(chat)
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    assert again.trace == result.trace
