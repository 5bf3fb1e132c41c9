"""output_format="json": the JSON value of a completion is the output."""

import contextlib
import pickle
import time
import traceback
from typing import Any

import pytest

from fibonacci import LLMNode, ModelError, NodeExecutionError, Retry, Workflow
from fibonacci._workflow.json_output import parse_json_output
from fibonacci.plugin import Completion


def reading(workflow: Workflow, *answers: str, **fields: Any) -> None:
    """Add a node that gets these answers, one an attempt."""
    turns = iter(answers)
    workflow.add_node(LLMNode("n", lambda _: next(turns), "x", output_format="json", **fields))


ANSWERS: list[tuple[str, Any]] = [
    ('{"a": [1, 2.5, null, true, "é"]}', {"a": [1, 2.5, None, True, "é"]}),
    (' \n"text"\n', "text"),
    ("null", None),
    ("123456789012345678901234567890", 123456789012345678901234567890),
    ('\ufeff{"a": 1}', {"a": 1}),
    ('{"a": "1\n2\t3"}', {"a": "1\n2\t3"}),
    ('{"a": 1, "a": 2}', {"a": 2}),
    ('{"a": "<think>"}', {"a": "<think>"}),
    # in a fence
    ('```json\n{"a": 1}\n```', {"a": 1}),
    ('\n```JSON  \n{"a": 1}\n  ```\n', {"a": 1}),
    ("```\n[\n1\n]\n```", [1]),
    ('```json\n"```"\n```', "```"),
    ('```json\r\n{"a": 1}\r\n```', {"a": 1}),
    ('```json\n{"a": 1}```', {"a": 1}),
    ('```json {"a": 1} ```', {"a": 1}),
    ('``` json\n{"a": "`"}\n```', {"a": "`"}),
    ('Here: [1]\n```json\n{"a": 1}\n```\nor, in short, {"b": 2}', {"a": 1}),
    ("It is\n```\n42\n```", 42),
    ('```python\nx = {"b": 2}\n```\ngives {"a": 1}', {"a": 1}),
    ('```json\n{"a": 1}\n```\nand again\n```\n{"a":1}\n```', {"a": 1}),
    ('```json\n{"a": 1}', {"a": 1}),
    ('[see\n```json\n{"a": 1}\n```\n]', {"a": 1}),
    ('````json\n{"a": "```"}\n````\nor {"b": 2}', {"a": "```"}),
    # between words
    ('Here is the JSON: {"a": 1}', {"a": 1}),
    ('{"a": "}```{"}\nLet me know, "quoted or {not}!', {"a": "}```{"}),
    ('Red and green: ["red", "green"].', ["red", "green"]),
    ('As in [1] and [2, 3], there are 4: {"a": 1}', {"a": 1}),
    ('Both of [1]: [{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
    # after thoughts
    ('<think>{"b": 2}</think>{"a": 1}', {"a": 1}),
    ('Well, {"b": 2}?\n</thinking>\n```json\n{"a": 1}\n```', {"a": 1}),
    ('<reasoning>{"b": 2}</reasoning>{"a": 1}', {"a": 1}),
    ('<thought>{"b": 2}</thought>{"a": 1}', {"a": 1}),
    ("<think>\n7?\n</think>\n\n42", 42),
    ('{"a": 1}\n<think>or {"b": 2}', {"a": 1}),
]


@pytest.mark.parametrize(("answer", "value"), ANSWERS, ids=range(len(ANSWERS)))
def test_json_value_is_found(workflow: Workflow, execute: Any, answer: str, value: Any) -> None:
    """The JSON value of a completion is found, whatever text surrounds it."""
    reading(workflow, answer)
    assert execute(workflow)["n"] == value


NO_JSON = [
    "",
    "Sure, there are 42.",
    "{'a': {\"b\": 1}}",
    '{"a": {"b": 1},}',
    '{"a": NaN}',
    "[Infinity]",
    "```python\n{}\n```",
    "[" * 100_000,
    "so: " + "[" * 256 + "]" * 256,
    '{"a": secret',
    '[{"a": 1}, {"a": ',
    'Of {"a": 1}, {"b": 2',
    '{"a": 1,} as in [1]',
    '```json\n{"a": 1,}\n```\nas in {"b": 2}',
    '<think>{"a": 1}',
    'They are [1] {"a": 1}' * 1000,
]


@pytest.mark.parametrize("answer", NO_JSON, ids=range(len(NO_JSON)))
def test_completion_without_json_fails_the_attempt(
    workflow: Workflow, execute: Any, answer: str
) -> None:
    """A completion without JSON fails the attempt; the error quotes none of it (C23)."""
    reading(workflow, answer)
    with pytest.raises(
        NodeExecutionError, match="ModelError: the completion is not JSON"
    ) as caught:
        execute(workflow)
    cause = caught.value.cause
    assert isinstance(cause, ModelError)
    assert cause.retryable
    assert "secret" not in str(caught.value)
    assert (cause.__cause__, cause.__context__) == (None, None)


SEVERAL = [
    '{} {"a": 1}',
    "```json\n1\n```\n```json\ntrue\n```",
    "[1] or [2]",
]


@pytest.mark.parametrize("answer", SEVERAL, ids=range(len(SEVERAL)))
def test_different_values_are_ambiguous(workflow: Workflow, execute: Any, answer: str) -> None:
    """A completion with two different JSON values is a retryable error."""
    reading(workflow, answer)
    with pytest.raises(NodeExecutionError, match="several different JSON values") as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, ModelError)
    assert caught.value.cause.retryable


def test_rejected_completion_is_on_the_error(workflow: Workflow, execute: Any) -> None:
    """ModelError.answer is the rejected completion; no repr, text or traceback shows it (C23)."""
    reading(workflow, "It is secret.")
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    cause = caught.value.cause
    assert isinstance(cause, ModelError)
    assert cause.answer == pickle.loads(pickle.dumps(cause)).answer == "It is secret."
    shown = "".join(
        line
        for step in traceback.TracebackException.from_exception(cause, capture_locals=True).stack
        if "fibonacci" in step.filename and "tests" not in step.filename
        for line in (step.locals or {}).values()
    )
    assert "secret" not in shown + repr(cause) + repr(caught.value)


HOSTILE = [
    "[",
    '{"a":',
    "```[",
    '```json\n{"a": "',
    '{"',
    '["\\',
    "<think>",
    "</think>{}",
    "{} ",
    "x [``` ] ",
    "1",
]


@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_completions_are_scanned_in_linear_time(part: str) -> None:
    """A megabyte of any text is scanned at once."""
    answer = Completion(text="x" + part * (1_000_000 // len(part)))
    start = time.monotonic()
    with contextlib.suppress(ModelError):
        parse_json_output(answer)
    assert time.monotonic() - start < 5


def test_completion_without_json_is_retried(workflow: Workflow, execute: Any) -> None:
    """A node with a retry calls its model again after a completion without JSON."""
    reading(workflow, "Sure!", '{"a": 1}', retry=Retry(backoff=0), memory_write="k")
    result = execute(workflow)
    assert (result["n"], result.trace["n"].attempts) == ({"a": 1}, 2)
    assert workflow.memory.get("k") == {"a": 1}


def test_templates_use_parts_of_json_output(workflow: Workflow, execute: Any) -> None:
    """Templates use parts of a JSON output by key and index."""
    reading(workflow, '{"cities": [{"name": "Zürich"}], "0": "digit"}')
    workflow.add_node(LLMNode("next", "echo", "{{n.cities.0.name}} {{n.0}} {{n.cities}}"))
    assert execute(workflow)["next"] == 'Zürich digit [{"name":"Zürich"}]'


def test_missing_part_of_json_output(workflow: Workflow, execute: Any) -> None:
    """The error of a part that a JSON output lacks names it, and a similar one."""
    reading(workflow, '{"citys": []}')
    workflow.add_node(LLMNode("next", "echo", "{{n.cities.0}}"))
    with pytest.raises(
        NodeExecutionError, match=r"'n.cities' has no value. Did you mean 'n.citys'"
    ):
        execute(workflow)
