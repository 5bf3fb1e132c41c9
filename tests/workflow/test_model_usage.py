"""What a run says of its models: names, stop reasons, and the tokens of all attempts."""

import pickle
from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    LLMNode,
    ModelError,
    NodeExecutionError,
    NodeFailed,
    NodeFinished,
    NodeTrace,
    Retry,
    TemplateError,
    Workflow,
)
from fibonacci.plugin import Completion, Model, ModelRequest, Usage
from fibonacci.testing import ScriptedModel, override_model

QUICK = Retry(attempts=2, backoff=0)
OBJECT = {"type": "object", "properties": {"age": {"type": "integer"}}}


def used(text: str, tokens: int = 5, **fields: Any) -> Completion:
    return Completion(text=text, usage=Usage(input_tokens=1, output_tokens=tokens), **fields)


def trace_of(error: NodeExecutionError, node_id: str = "n") -> NodeTrace:
    trace = error.trace[node_id]
    assert isinstance(trace, NodeTrace)
    return trace


def cause_of(error: NodeExecutionError) -> BaseException:
    assert error.__cause__ is not None
    return error.__cause__


def failure(execute: Any, workflow: Workflow) -> NodeExecutionError:
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow, user_id="ada")
    return caught.value


def test_truncated_completion_is_reported(workflow: Workflow, stream: Any) -> None:
    """A completion that was cut off at max_tokens is named in the event, trace and result."""
    model = ScriptedModel(used("Once upon", stop_reason="max_tokens"), used("Hi"))
    workflow.add_node(LLMNode("cut", model, "x"))
    workflow.add_node(LLMNode("whole", model, "x", dependencies=["cut"]))
    events = list(stream(workflow))
    result = events[-1].result
    reasons = [event.stop_reason for event in events if isinstance(event, NodeFinished)]
    assert reasons == ["max_tokens", None]
    assert result.trace["cut"].stop_reason == "max_tokens"
    assert result.truncated == ("cut",)


def whole(request: ModelRequest) -> str:
    return "x"


class Named(Model):
    """A model that has a name of its own."""

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text="x", model="small-2026")


class Caller:
    def __call__(self, request: ModelRequest) -> str:
        return "x"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("echo", "echo"),
        (whole, "whole"),
        (Named(), "small-2026"),
        (ScriptedModel("x"), "ScriptedModel"),
        (Caller(), "Caller"),
    ],
)
def test_model_is_named(workflow: Workflow, execute: Any, model: Any, name: str) -> None:
    """The trace has the name that the provider says, or else the node's, and no repr."""
    if isinstance(model, ScriptedModel):
        model = ScriptedModel(*model.completions)
    workflow.add_node(LLMNode("n", model, "x"))
    workflow.add_node(FunctionNode("f", lambda _: 1))
    trace = execute(workflow).trace
    assert trace["n"].model == name
    assert trace["f"].model is None


def test_request_says_who_asks(workflow: Workflow, execute: Any) -> None:
    """A request has the run's user, its id, and the node; they are not compared."""
    model = ScriptedModel("a", "b", "c", "d")
    for node_id in ("n", "m"):
        workflow.add_node(LLMNode(node_id, model, "x"))
    result = execute(workflow, user_id="ada")
    requests = model.requests
    assert {request.node_id for request in requests} == {"n", "m"}
    assert {request.run_id for request in requests} == {result.run_id}
    assert {request.user_id for request in requests} == {"ada"}
    assert requests[0] == requests[1] == ModelRequest(prompt="x")
    assert "ada" not in repr(requests)
    assert execute(workflow, user_id="bob").run_id != result.run_id


def test_usage_of_all_attempts(workflow: Workflow, execute: Any) -> None:
    """The tokens of completions that were rejected count, like those of the one that was not."""
    model = ScriptedModel(used("no JSON", 7), used('{"age": 1}', 5))
    workflow.add_node(LLMNode("n", model, "x", output_format="json", retry=QUICK))
    result = execute(workflow)
    assert result.usage == Usage(input_tokens=2, output_tokens=12)
    assert result.trace["n"].usage == result.usage
    assert result.trace["n"].attempts == 2


def test_usage_of_a_failed_run(workflow: Workflow, execute: Any) -> None:
    """The error of a run has the tokens of all attempts, and the trace of the failed node."""
    model = ScriptedModel(used("no JSON", 7), used("none again", 5))
    workflow.add_node(LLMNode("first", ScriptedModel(used("a", 1)), "x"))
    workflow.add_node(
        LLMNode("n", model, "x", output_format="json", retry=QUICK, dependencies=["first"])
    )
    error = failure(execute, workflow)
    assert error.usage == Usage(input_tokens=3, output_tokens=13)
    assert {request.run_id for request in model.requests} == {error.run_id}
    trace = trace_of(error)
    assert (trace.attempts, trace.usage) == (2, Usage(input_tokens=2, output_tokens=12))
    assert trace.start <= trace.end
    assert trace.written == ()
    assert error.results == {"first": "a"}
    restored = pickle.loads(pickle.dumps(error))
    assert restored.usage == error.usage
    assert restored.trace == error.trace


def test_usage_that_a_model_reports_with_its_error(workflow: Workflow, execute: Any) -> None:
    """A ModelError may have the tokens that the failed request has cost."""
    cost = Usage(input_tokens=9)
    workflow.add_node(LLMNode("n", ScriptedModel(ModelError("cut", usage=cost)), "x"))
    assert failure(execute, workflow).usage == cost


def test_usage_has_to_be_a_usage() -> None:
    """A completion with another usage is refused where it is made."""
    wrong: Any = None
    with pytest.raises(TypeError, match="usage"):
        Completion(text="x", usage=wrong)


def test_rejected_answer_is_on_the_error(workflow: Workflow, execute: Any) -> None:
    """The answer that was rejected is an attribute of the cause, and in no text."""
    workflow.add_node(LLMNode("n", ScriptedModel(used("my secret")), "x", output_format="json"))
    error = failure(execute, workflow)
    assert isinstance(error.cause, ModelError)
    assert error.cause.answer == "my secret"
    assert "my secret" not in f"{error} {error!r} {error.cause!r}"


def test_cut_json_says_so(workflow: Workflow, execute: Any) -> None:
    """JSON that was cut off at max_tokens is reported as that, with the fix."""
    cut = used('{"age": [1, 2', stop_reason="max_tokens")
    workflow.add_node(LLMNode("n", ScriptedModel(cut), "x", output_format="json"))
    assert str(failure(execute, workflow).cause) == (
        "the completion was cut off at max_tokens, before its JSON was complete. Raise max_tokens "
        "of the node, or ask for less"
    )


def test_whole_json_may_be_cut_after_it(workflow: Workflow, execute: Any) -> None:
    """A value that is complete counts, even if the text after it was cut off."""
    cut = used('```json\n{"age": 1}\n```\nThis is', stop_reason="max_tokens")
    workflow.add_node(LLMNode("n", ScriptedModel(cut), "x", output_format="json"))
    result = execute(workflow)
    assert result["n"] == {"age": 1}
    assert result.truncated == ("n",)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (used("none"), "the completion is not JSON"),
        (used('{"a": 1} {"a": 2}'), "the completion holds several different JSON values"),
        (
            used('{"age": "old"}'),
            "the completion does not match output_schema: $.age violates 'type'",
        ),
        (
            used('{"age": ', stop_reason="max_tokens"),
            "the completion was cut off at max_tokens, before its JSON was complete",
        ),
    ],
)
def test_next_attempt_is_given_the_problem(
    workflow: Workflow, execute: Any, answer: Completion, problem: str
) -> None:
    """The prompt of the next attempt says what was wrong with the last answer, and only that."""
    model = ScriptedModel(answer, answer, '{"age": 1}')
    retry = Retry(attempts=3, backoff=0)
    node = LLMNode("n", model, "How old?", output_format="json", output_schema=OBJECT, retry=retry)
    workflow.add_node(node)
    assert execute(workflow)["n"] == {"age": 1}
    first, *others = [request.prompt for request in model.requests]
    assert first == "How old?"
    text = f"How old?\n\nYour last answer was rejected: {problem}. Answer again."
    assert others == [text, text]


def test_problem_is_kept_after_a_transient_error(workflow: Workflow, execute: Any) -> None:
    """An attempt that fails in another way sends the same again."""
    model = ScriptedModel("none", ModelError("busy", retryable=True), "{}")
    retry = Retry(attempts=3, backoff=0)
    workflow.add_node(LLMNode("n", model, "x", output_format="json", retry=retry))
    execute(workflow)
    first, second, third = [request.prompt for request in model.requests]
    assert first == "x"
    assert second == third != "x"


def test_other_errors_are_not_sent_to_the_model(workflow: Workflow, execute: Any) -> None:
    """After an error that is about no answer, the prompt is the same."""
    model = ScriptedModel(ModelError("busy", retryable=True), "{}")
    workflow.add_node(LLMNode("n", model, "x", output_format="json", retry=QUICK))
    execute(workflow)
    assert [request.prompt for request in model.requests] == ["x", "x"]


def test_recorded_prompt_is_the_nodes(workflow: Workflow, execute: Any) -> None:
    """A turn has the node's prompt, and not what an attempt added to it."""
    model = ScriptedModel("none", "{}")
    workflow.add_node(LLMNode("n", model, "x", output_format="json", retry=QUICK, history="chat"))
    execute(workflow, user_id="ada")
    messages = workflow.memory.history("chat", user_id="ada").messages()
    assert [message["content"] for message in messages] == ["x", "{}"]


def test_event_of_a_failed_node(workflow: Workflow, stream: Any) -> None:
    """A node that fails yields an event with its id and error, and then the stream raises."""
    workflow.add_node(LLMNode("n", ScriptedModel(ModelError("busy")), "x"))
    events: list[Any] = []
    with pytest.raises(NodeExecutionError) as caught:
        events.extend(stream(workflow))
    assert events[-1] == NodeFailed("n", cause_of(caught.value))
    assert "busy" not in repr(events[-1])


def test_event_of_a_run_that_fails_early(workflow: Workflow, stream: Any) -> None:
    """A run that fails before its first node starts says which node it is about."""
    workflow.add_node(LLMNode("first", "echo", "x"))
    workflow.add_node(LLMNode("n", "echo", "{{input.value.missing}}"))
    events: list[Any] = []
    with pytest.raises(NodeExecutionError) as caught:
        events.extend(stream(workflow, {"value": {}}))
    assert isinstance(caught.value.cause, TemplateError)
    assert events == [NodeFailed("n", cause_of(caught.value))]


def test_stream_that_is_closed_at_a_failure(workflow: Workflow, stream: Any) -> None:
    """A stream that is closed at the event of a failed node ends."""
    workflow.add_node(LLMNode("n", ScriptedModel(ModelError("busy")), "x"))
    events = stream(workflow)
    while not isinstance(next(events), NodeFailed):
        pass
    events.close()
    with pytest.raises(StopIteration):
        next(events)


def test_override_is_named_as_the_node_has_it(workflow: Workflow, execute: Any) -> None:
    """A model that replaces another one in a test is named as the node's model."""
    workflow.add_node(LLMNode("n", "claude-sonnet-5-5", "x"))
    with override_model("claude-*", ScriptedModel("Hi")):
        assert execute(workflow).trace["n"].model == "claude-sonnet-5-5"
