"""output_schema: JSON output must match the schema of its node."""

import re
import sys
import traceback
from typing import Any

import pytest

from fibonacci import (
    LLMNode,
    ModelError,
    NodeExecutionError,
    Retry,
    Workflow,
    WorkflowValidationError,
)

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def answering(*answers: str, schema: Any = SCHEMA, **settings: Any) -> Workflow:
    """A workflow whose model gives these answers, one after the other."""
    remaining = iter(answers)
    workflow = Workflow("ages")
    workflow.add_node(
        LLMNode(
            "ask",
            lambda request: next(remaining),
            "How old?",
            output_format="json",
            output_schema=schema,
            **settings,
        )
    )
    return workflow


def failure(workflow: Workflow) -> BaseException | None:
    with pytest.raises(NodeExecutionError) as caught:
        workflow.execute()
    return caught.value.cause


def test_matching_value_is_the_output():
    """The output is the value that matches the schema, not its text."""
    assert answering('{"age": 7}').execute()["ask"] == {"age": 7}


def test_mismatch_error_has_path_and_rule():
    """The error of a mismatch has the path and the rule, and quotes no value."""
    cause = failure(answering('{"age": "hunter2"}'))
    assert isinstance(cause, ModelError)
    assert str(cause) == "the completion does not match output_schema: $.age violates 'type'"


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ('{"more": {"hunter2": 1}}', "$.more.*"),
        ('{"list": [{"n": 1}, {"n": "hunter2"}]}', "$.list[1].n"),
        ('{"hunter2": {"n": "1"}}', "$.*.n"),
    ],
)
def test_mismatch_error_hides_unknown_names(answer: str, place: str):
    """A path has an asterisk for each name that the schema does not have."""
    part = {"type": "object", "properties": {"n": {"type": "integer"}}}
    schema = {
        "properties": {
            "more": {"additionalProperties": {"type": "string"}},
            "list": {"items": {"$ref": "#/$defs/part"}},
        },
        "patternProperties": {"^h": part},
        "$defs": {"part": part},
    }
    message = str(failure(answering(answer, schema=schema)))
    assert message == f"the completion does not match output_schema: {place} violates 'type'"


def test_mismatch_is_retried():
    """A node with a retry calls its model again after a mismatch."""
    workflow = answering('{"age": "7"}', '{"age": 7}', retry=Retry(attempts=2, backoff=0))
    assert workflow.execute().trace["ask"].attempts == 2


def test_mismatching_values_do_not_count():
    """Of several values the matching one is the output; two different matches are ambiguous."""
    assert answering('Not {"n": 1}, but {"age": 7}.').execute()["ask"] == {"age": 7}
    assert answering('```json\n{"n": 1}\n```\n{"age": 7}').execute()["ask"] == {"age": 7}
    cause = failure(answering('{"age": 7} or {"age": 8}'))
    assert "several different JSON values" in str(cause)
    assert isinstance(cause, ModelError)
    assert cause.answer == '{"age": 7} or {"age": 8}'


def test_mismatching_completion_is_on_the_error():
    """ModelError.answer is the completion, and no frame of its traceback holds its values."""
    cause = failure(answering('Here: {"age": "hunter2"}'))
    assert isinstance(cause, ModelError)
    assert cause.answer == 'Here: {"age": "hunter2"}'
    formatted = traceback.TracebackException.from_exception(cause, capture_locals=True)
    ours = [frame for frame in formatted.stack if "/_workflow/" in frame.filename]
    assert ours
    assert "hunter2" not in repr([frame.locals for frame in ours])


def test_request_has_the_schema():
    """A model's request has the schema of its node."""
    seen: list[Any] = []

    def model(request: Any) -> str:
        seen.append(request.output_schema)
        return '{"age": 1}'

    workflow = Workflow("ages")
    workflow.add_node(LLMNode("ask", model, "How old?", output_format="json", output_schema=SCHEMA))
    workflow.execute()
    assert seen == [SCHEMA]


@pytest.mark.parametrize(
    ("schema", "where"),
    [({"type": "nope"}, "$.type"), ({"$schema": 5}, "$.$schema"), ({"$schema": []}, "$.$schema")],
)
def test_invalid_schema_is_refused_by_add_node(schema: dict[str, Any], where: str):
    """add_node() refuses an invalid schema, with the path of the problem."""
    with pytest.raises(WorkflowValidationError, match=f"not a JSON Schema: {re.escape(where)}"):
        answering(schema=schema)


def test_remote_references_are_not_fetched():
    """A reference out of the schema is an error, and nothing is fetched."""
    cause = failure(answering("1", schema={"$ref": "http://127.0.0.1:1/schema.json"}))
    assert "refers to 'http://127.0.0.1:1/schema.json', which is not in it" in str(cause)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output_schema": SCHEMA}, 'output_schema needs output_format="json"'),
        ({"output_schema": "{}", "output_format": "json"}, "must be a JSON Schema, as a dict"),
    ],
)
def test_schema_needs_json_output(settings: dict[str, Any], message: str):
    """A schema without output_format="json", or one that is no dict, is refused."""
    with pytest.raises(WorkflowValidationError, match=message):
        LLMNode("ask", "echo", "How old?", **settings)


def test_missing_jsonschema_is_named(monkeypatch: pytest.MonkeyPatch):
    """Without jsonschema the error says what to install."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(WorkflowValidationError, match=r"pip install 'fibonacci-core\[schema\]'"):
        answering("1")


def test_endless_schema_reference():
    """A schema that refers to itself without end is an error that is not retried."""
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    cause = failure(answering("1", "1", schema=endless, retry=Retry(attempts=2, backoff=0)))
    assert str(cause) == "output_schema refers to itself without end"
