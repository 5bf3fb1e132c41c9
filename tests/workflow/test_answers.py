"""output_format="json": the output is what the answer says."""

from typing import Any

import pytest

from fibonacci import LLMNode, ModelError, NodeExecutionError, Retry, Workflow


def reading(workflow: Workflow, *answers: str, **fields: Any) -> None:
    """Add a node that gets these answers, one an attempt."""
    turns = iter(answers)
    workflow.add_node(LLMNode("n", lambda _: next(turns), "x", output_format="json", **fields))


ANSWERS: list[tuple[str, Any]] = [
    ('{"a": [1, 2.5, null, true, "é"]}', {"a": [1, 2.5, None, True, "é"]}),
    (' \n"text"\n', "text"),
    ("null", None),
    ("123456789012345678901234567890", 123456789012345678901234567890),
    ('```json\n{"a": 1}\n```', {"a": 1}),
    ('\n```JSON  \n{"a": 1}\n  ```\n', {"a": 1}),
    ('```\n[\n1\n]\n```', [1]),
    ('```json\n"```"\n```', "```"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "value"), ANSWERS)
def test_json(workflow: Workflow, execute: Any, answer: str, value: Any) -> None:
    """JSON is read, alone or in one fenced block."""
    reading(workflow, answer)
    assert execute(workflow)["n"] == value


NO_JSON = [
    "",
    "Here it is: {}",
    "{'a': 1}",
    "{} {}",
    '{"a": NaN}',
    "[Infinity]",
    "```json\n{}",
    "```python\n{}\n```",
    "[" * 100_000,
    '{"a": secret',
]


@pytest.mark.parametrize("answer", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_json(workflow: Workflow, execute: Any, answer: str) -> None:
    """An answer that is no JSON fails the attempt; nothing of it is in the error (C23)."""
    reading(workflow, answer)
    with pytest.raises(NodeExecutionError, match="ModelError: the answer is not JSON") as told:
        execute(workflow)
    cause = told.value.cause
    assert isinstance(cause, ModelError)
    assert cause.retryable
    assert "secret" not in str(told.value)
    assert (cause.__cause__, cause.__context__) == (None, None)


def test_another_attempt_may_mend_it(workflow: Workflow, execute: Any) -> None:
    """With a retry the model is asked again, and what is JSON counts."""
    reading(workflow, "Sure!", '{"a": 1}', retry=Retry(backoff=0), memory_write="k")
    result = execute(workflow)
    assert (result["n"], result.trace["n"].attempts) == ({"a": 1}, 2)
    assert workflow.memory.get("k") == {"a": 1}


def test_parts_of_an_answer(workflow: Workflow, execute: Any) -> None:
    """Templates find the parts of an answer by key and index."""
    reading(workflow, '{"cities": [{"name": "Zürich"}], "0": "digit"}')
    workflow.add_node(LLMNode("next", "echo", "{{n.cities.0.name}} {{n.0}} {{n.cities}}"))
    assert execute(workflow)["next"] == 'Zürich digit [{"name":"Zürich"}]'


def test_a_part_that_is_not_there(workflow: Workflow, execute: Any) -> None:
    """A part that an answer lacks is an error that names it, and what is near."""
    reading(workflow, '{"citys": []}')
    workflow.add_node(LLMNode("next", "echo", "{{n.cities.0}}"))
    with pytest.raises(
        NodeExecutionError, match=r"'n.cities' has no value. Did you mean 'n.citys'"
    ):
        execute(workflow)
