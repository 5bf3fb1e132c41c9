"""An answer in JSON is held against the node's schema."""

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
    given = iter(answers)
    workflow = Workflow("ages")
    workflow.add_node(
        LLMNode(
            "ask",
            lambda request: next(given),
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


def test_an_answer_that_fits_is_the_output():
    """The output is the value, not its text."""
    assert answering('{"age": 7}').execute()["ask"] == {"age": 7}


def test_an_answer_that_does_not_fit_says_where_and_not_what():
    """The error names the path and the rule; the answer itself stays out."""
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
def test_names_that_the_answer_made_up_are_not_told(answer: str, place: str):
    """A path holds the names that the schema says; for others there is an asterisk."""
    part = {"type": "object", "properties": {"n": {"type": "integer"}}}
    schema = {
        "properties": {
            "more": {"additionalProperties": {"type": "string"}},
            "list": {"items": {"$ref": "#/$defs/part"}},
        },
        "patternProperties": {"^h": part},
        "$defs": {"part": part},
    }
    told = str(failure(answering(answer, schema=schema)))
    assert told == f"the completion does not match output_schema: {place} violates 'type'"


def test_another_attempt_may_fit():
    """A model that misses the schema is asked again, where the node may try again."""
    workflow = answering('{"age": "7"}', '{"age": 7}', retry=Retry(attempts=2, backoff=0))
    assert workflow.execute().trace["ask"].attempts == 2


def test_what_does_not_fit_does_not_count():
    """Of several values, the one that fits is the output; two that fit and differ are refused."""
    assert answering('Not {"n": 1}, but {"age": 7}.').execute()["ask"] == {"age": 7}
    assert answering('```json\n{"n": 1}\n```\n{"age": 7}').execute()["ask"] == {"age": 7}
    cause = failure(answering('{"age": 7} or {"age": 8}'))
    assert "several different JSON values" in str(cause)
    assert isinstance(cause, ModelError)
    assert cause.answer == '{"age": 7} or {"age": 8}'


def test_the_answer_that_does_not_fit_is_on_the_error():
    """Who catches the error can see the answer, and no frame of ours holds what was read of it."""
    cause = failure(answering('Here: {"age": "hunter2"}'))
    assert isinstance(cause, ModelError)
    assert cause.answer == 'Here: {"age": "hunter2"}'
    told = traceback.TracebackException.from_exception(cause, capture_locals=True)
    ours = [one for one in told.stack if "/_workflow/" in one.filename]
    assert ours
    assert "hunter2" not in repr([one.locals for one in ours])


def test_the_schema_is_in_the_request():
    """A provider that can make a model keep to a schema is told it."""
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
def test_a_schema_that_is_none_is_refused_by_add_node(schema: dict[str, Any], where: str):
    """What is wrong with a schema shows before anything runs."""
    with pytest.raises(WorkflowValidationError, match=f"not a JSON Schema: {re.escape(where)}"):
        answering(schema=schema)


def test_nothing_is_fetched_for_a_schema():
    """A reference that points out of the schema is an error, and no request."""
    cause = failure(answering("1", schema={"$ref": "http://127.0.0.1:1/schema.json"}))
    assert "refers to 'http://127.0.0.1:1/schema.json', which is not in it" in str(cause)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"output_schema": SCHEMA}, 'output_schema needs output_format="json"'),
        ({"output_schema": "{}", "output_format": "json"}, "must be a JSON Schema, as a dict"),
    ],
)
def test_a_schema_goes_with_json(settings: dict[str, Any], told: str):
    """A schema without JSON, or one that is no dict, is refused."""
    with pytest.raises(WorkflowValidationError, match=told):
        LLMNode("ask", "echo", "How old?", **settings)


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    """Without jsonschema the error says what to install."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(WorkflowValidationError, match=r"pip install 'fibonacci-core\[schema\]'"):
        answering("1")


def test_a_schema_that_never_ends_is_told():
    """A schema that refers to itself is an error of ours, and no attempt mends it."""
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    cause = failure(answering("1", "1", schema=endless, retry=Retry(attempts=2, backoff=0)))
    assert str(cause) == "output_schema refers to itself without end"
