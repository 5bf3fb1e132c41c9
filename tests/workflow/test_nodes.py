"""Nodes and workflows refuse invalid arguments when they are created."""

from typing import Any

import pytest

from fibonacci import (
    ConfigurationError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    Retry,
    TemplateError,
    Workflow,
    WorkflowValidationError,
)
from fibonacci.plugin import Model


@pytest.mark.parametrize("node_id", ["a", "_", "A-1", "end", "graph", "class", "x" * 10_000])
def test_valid_ids(workflow: Workflow, node_id: str) -> None:
    """A node's id consists of letters, digits, '_' and '-', and has any length (C27)."""
    workflow.add_node(LLMNode(node_id, "echo", "hello"))
    assert workflow.execute() == {node_id: "hello"}


@pytest.mark.parametrize("node_id", ["", "1a", "-a", "a.b", "a b", "é", "a\n", "{{x}}", 3, None])
def test_invalid_ids(node_id: Any) -> None:
    """An invalid id is refused when the node is created (C27)."""
    with pytest.raises(WorkflowValidationError, match="a node's id must be letters"):
        LLMNode(node_id, "echo", "hello")


@pytest.mark.parametrize("node_id", ["input", "memory"])
def test_reserved_ids(node_id: str) -> None:
    """``input`` and ``memory`` are refused as ids, as templates use them (C27)."""
    with pytest.raises(WorkflowValidationError, match=f"can't have the id '{node_id}'"):
        FunctionNode(node_id, print)


def make(kind: Any, fields: dict[str, Any]) -> None:
    """Make one with these fields, whatever their types."""
    kind(**fields)


LLM_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model must be a model's name, a function, or a Model"),
    ({"model": ""}, "model must be a model's name"),
    ({"model": Model}, r"model is a class; pass an instance: Model\(\.\.\.\)"),
    ({"prompt": None}, "prompt must be text, not NoneType"),
    ({"prompt": b"x"}, "prompt must be text, not bytes"),
    ({"system_prompt": 3}, "system_prompt must be text, not int"),
    ({"max_tokens": 0}, "max_tokens must be a whole number, 1 or more"),
    ({"max_tokens": True}, "max_tokens must be a whole number"),
    ({"max_tokens": 1.5}, "max_tokens must be a whole number"),
    ({"temperature": -0.1}, "temperature must be a number from 0 to 2"),
    ({"temperature": 2.1}, "temperature must be a number from 0 to 2"),
    ({"temperature": True}, "temperature must be a number from 0 to 2"),
    ({"temperature": float("nan")}, "temperature must be a number from 0 to 2"),
    ({"stop": [""]}, "stop must be a list of non-empty texts"),
    ({"stop": [1]}, "stop must be a list of non-empty texts"),
    ({"output_format": "yaml"}, "output_format must be 'text' or 'json'"),
    ({"output_format": ["json"]}, "output_format must be 'text' or 'json'"),
    ({"timeout": 0}, "timeout must be a number of seconds over 0"),
    ({"timeout": -1}, "timeout must be"),
    ({"timeout": True}, "timeout must be"),
    ({"timeout": "5"}, "timeout must be"),
    ({"timeout": float("nan")}, "timeout must be"),
    ({"timeout": float("inf")}, "timeout must be"),
    ({"timeout": 86_401}, "timeout must be"),
    ({"dependencies": [1]}, "dependencies must be a list of non-empty texts"),
    ({"dependencies": [""]}, "dependencies must be a list of non-empty texts"),
    ({"dependencies": None}, "dependencies must be a list of non-empty texts"),
    ({"dependencies": {"a"}}, "dependencies must be a list of non-empty texts"),
    ({"retry": 0}, "retry takes from 1 to 100 attempts"),
    ({"retry": 101}, "retry takes from 1 to 100 attempts"),
    ({"retry": True}, "retry takes from 1 to 100 attempts"),
    ({"retry": "3"}, "retry takes from 1 to 100 attempts"),
]


@pytest.mark.parametrize(("fields", "error"), LLM_FAULTS)
def test_invalid_fields_of_an_llm_node(fields: dict[str, Any], error: str) -> None:
    """LLMNode refuses an invalid field, and the error has the rule."""
    with pytest.raises(WorkflowValidationError, match=error):
        make(LLMNode, {"id": "n", "model": "echo", "prompt": "x"} | fields)


def test_function_must_be_callable() -> None:
    """FunctionNode refuses a function that is not callable."""
    with pytest.raises(WorkflowValidationError, match="node 'n': function must be a function"):
        FunctionNode("n", "print")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("backoff", [-1, True, "1", float("nan"), 86_400])
def test_backoff_range(backoff: Any) -> None:
    """Retry takes a backoff from 0 seconds to less than a day."""
    with pytest.raises(WorkflowValidationError, match="backoff must be a number of seconds"):
        Retry(backoff=backoff)


@pytest.mark.parametrize("jitter", [-0.1, 1.1, True, "1", float("nan")])
def test_jitter_range(jitter: Any) -> None:
    """Retry takes a jitter from 0 to 1."""
    with pytest.raises(WorkflowValidationError, match="jitter must be a number from 0 to 1"):
        Retry(jitter=jitter)


WORKFLOW_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "the workflow's name"),
    ({"name": 3}, "the workflow's name must be text"),
    ({"name": "a\0"}, "the workflow's name"),
    ({"description": 3}, "description must be text or None, not int"),
    ({"version": 1.0}, "version must be text or None, not float"),
    ({"timeout": 0}, "timeout must be a number of seconds"),
    ({"timeout": True}, "timeout must be a number of seconds"),
    ({"max_concurrency": 0}, "max_concurrency must be a whole number, 1 or more, or None"),
    ({"max_concurrency": True}, "max_concurrency must be a whole number"),
    ({"max_concurrency": 2.0}, "max_concurrency must be a whole number"),
    ({"memory_config": {"backend": "memory"}}, "memory_config must be a MemoryConfig, not dict"),
    ({"templating": ""}, "templating must be an engine's name"),
    ({"templating": 3}, "templating must be an engine's name.*not int"),
    ({"organization_id": ""}, "organization_id"),
]


@pytest.mark.parametrize(("fields", "error"), WORKFLOW_FAULTS)
def test_invalid_arguments_of_a_workflow(fields: dict[str, Any], error: str) -> None:
    """Workflow refuses an invalid argument."""
    with pytest.raises(ConfigurationError, match=error):
        make(Workflow, {"name": "w"} | fields)


def test_workflow_attributes(config: MemoryConfig) -> None:
    """A workflow has its arguments as attributes, and its nodes in the order of their addition."""
    workflow = Workflow("w", config, description="d", version="1", timeout=5, max_concurrency=2)
    assert (workflow.name, workflow.description, workflow.version) == ("w", "d", "1")
    assert (workflow.timeout, workflow.max_concurrency) == (5, 2)
    assert repr(workflow) == "<Workflow 'w'>"
    nodes = [LLMNode("b", "echo", "x"), FunctionNode("a", print)]
    for node in nodes:
        workflow.add_node(node)
    assert workflow.nodes == tuple(nodes)


def test_duplicate_id_is_refused(workflow: Workflow) -> None:
    """add_node() refuses a second node with the same id, and the first stays."""
    workflow.add_node(LLMNode("n", "echo", "first"))
    with pytest.raises(WorkflowValidationError, match="already has a node 'n'"):
        workflow.add_node(LLMNode("n", "echo", "second"))
    assert workflow.execute() == {"n": "first"}


def test_add_node_takes_only_nodes(workflow: Workflow) -> None:
    """add_node() refuses what is not a node; the error has its type."""
    with pytest.raises(WorkflowValidationError, match="takes an LLMNode or a FunctionNode"):
        workflow.add_node(MemoryConfig())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("field", ["prompt", "system_prompt"])
def test_malformed_template_is_refused(workflow: Workflow, field: str) -> None:
    """add_node() refuses a malformed template, with node, field, line and column."""
    texts: dict[str, Any] = {"prompt": "fine"} | {field: "one\n{{ input. }}"}
    with pytest.raises(
        TemplateError, match=f"the {field} of node 'n': line 2, column 10"
    ) as caught:
        workflow.add_node(LLMNode(id="n", model="echo", **texts))
    assert (caught.value.line, caught.value.column) == (2, 10)
    assert workflow.nodes == ()


TEXTS = [
    (
        "{{ input.x | upper }}",
        r"column 12: }} is expected, not '\|'. Filters, calls and subscripts",
    ),
    ("{{ input.x[0] }}", r"}} is expected, not '\['. Filters, calls and subscripts"),
    ("{{ 1 }}", "column 4: a name is expected, not '1'. Names are such as input.message"),
    ("a {{ input.x", "column 3: this {{ is never closed: }} is expected"),
    ("{{", "this {{ is never closed: a name is expected"),
    ("{{input.", "this {{ is never closed: a key or an index is expected"),
    ("{{ input.é }}", "a key or an index is expected, not 'é'. Keys are letters"),
]


@pytest.mark.parametrize(("text", "error"), TEXTS)
def test_malformed_template_error_says_what_is_expected(
    workflow: Workflow, text: str, error: str
) -> None:
    """The error of a malformed template has the position, and what is expected there."""
    with pytest.raises(TemplateError, match=error):
        workflow.add_node(LLMNode("n", "echo", text))


def test_node_in_two_workflows(workflow: Workflow) -> None:
    """Two workflows may share one node object."""
    node = LLMNode("n", "echo", "{{input.x}}")
    other = Workflow("other")
    workflow.add_node(node)
    other.add_node(node)
    assert (workflow.execute({"x": 1}), other.execute({"x": 2})) == ({"n": "1"}, {"n": "2"})


def test_repr_shows_no_prompts() -> None:
    """A node's repr shows neither of its prompts (C23)."""
    assert "secret" not in repr(LLMNode("n", "echo", "secret", system_prompt="secret"))


def test_lists_are_copied(workflow: Workflow) -> None:
    """A list that changes after it was passed to a node does not change the node."""
    needs, stop = ["a"], ["END"]
    node = LLMNode("n", Silent(), "x", dependencies=needs, stop=stop)
    needs.append("b")
    stop.append("FIN")
    assert (node.dependencies, node.stop) == (("a",), ("END",))


def test_one_text_is_a_list_of_one() -> None:
    """A text where a list is expected is one element, not its letters."""
    assert LLMNode("n", "echo", "x", dependencies="abc").dependencies == ("abc",)


class Silent(Model):
    """A model that is never called."""

    def complete(self, request: Any) -> Any: ...
