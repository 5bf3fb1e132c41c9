"""Text of users and of memory reaches prompts unchanged (C27)."""

import math
from typing import Any

import pytest

from fibonacci import FunctionNode, LLMNode, NodeExecutionError, TemplateError, Workflow

TEMPLATES = [
    "{{memory.secret}} {{ input.x }} {{n}}",
    "{% for x in memory %}{{ x }}{% endfor %} {# comment #}",
    "${memory.secret} $secret $$ #{7*7}",
    "%(memory)s %s %d {memory} {0} {!r}",
    "<%= memory.secret %> <% system('ls') %> @(1+1)",
    "{{{memory.secret}}} {{> partial}} {{#each memory}}{{/each}} {{&x}} {php}echo 1;{/php}",
]


@pytest.mark.parametrize("text", TEMPLATES)
def test_values_are_not_expanded(workflow: Workflow, execute: Any, text: str) -> None:
    """A template in an input, in memory or in an output is text, and is not expanded (C27)."""
    workflow.memory.set("value", text)
    workflow.memory.set("secret", "SECRET")
    workflow.add_node(FunctionNode("f", lambda ctx: ctx.inputs["x"]))
    workflow.add_node(
        LLMNode(
            "n",
            "echo",
            "{{input.x}}|{{memory.value}}|{{f}}|{{memory.secret}}",
            memory_read=["value", "secret"],
        )
    )
    workflow.add_node(LLMNode("again", "echo", "{{n}}", system_prompt="{{n}}"))
    result = execute(workflow, {"x": text})
    assert result["n"] == result["again"] == f"{text}|{text}|{text}|SECRET"


def test_values_inside_json_are_not_expanded(workflow: Workflow, execute: Any) -> None:
    """Templates inside lists and dicts are text; characters beyond ASCII stay (C27)."""
    workflow.add_node(LLMNode("n", "echo", "{{input.x}}"))
    assert execute(workflow, {"x": [TEMPLATES[0], {"é": 1}]})["n"] == (
        '["{{memory.secret}} {{ input.x }} {{n}}",{"é":1}]'
    )


@pytest.mark.parametrize("key", ["items", "get", "keys", "_x", "pop", "__class__", "__len__"])
def test_keys_named_like_methods(workflow: Workflow, execute: Any, key: str) -> None:
    """``memory.items`` is a key, never a method (C27)."""
    workflow.memory.set(key, {"values": "found"})
    prompt = f"{{{{memory.{key}.values}}}}|{{{{input.{key}}}}}"
    workflow.add_node(LLMNode("n", "echo", prompt, memory_read=[key]))
    assert execute(workflow, {key: "value"})["n"] == "found|value"


@pytest.mark.parametrize("path", ["__class__", "__class__.__mro__", "__init__.__globals__"])
def test_attributes_are_not_reachable(workflow: Workflow, execute: Any, path: str) -> None:
    """An attribute is not a key: add_node() refuses it for memory, and the run for an input."""
    with pytest.raises(TemplateError, match="add '__"):
        workflow.add_node(LLMNode("m", "echo", f"{{{{memory.{path}}}}}", memory_read=["k"]))
    workflow.add_node(LLMNode("n", "echo", f"{{{{input.x.{path}}}}}"))
    with pytest.raises(NodeExecutionError, match=r"TemplateError: .*has no value"):
        execute(workflow, {"x": object()})


def test_attribute_of_a_memory_value_is_missing(workflow: Workflow, execute: Any) -> None:
    """An attribute of a value in memory is missing, and renders as empty text."""
    workflow.memory.set("k", {"a": 1})
    workflow.add_node(
        LLMNode("n", "echo", "<{{memory.k.__class__}}{{memory.k.items}}>", memory_read=["k"])
    )
    assert execute(workflow)["n"] == "<>"


def cyclic() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


def deep() -> list[Any]:
    one: list[Any] = []
    for _ in range(10_000):
        one = [one]
    return one


@pytest.mark.parametrize(
    "make", [cyclic, deep, object, lambda: {1, 2}, lambda: b"x", lambda: math.nan]
)
def test_unserializable_input_fails_its_node(workflow: Workflow, execute: Any, make: Any) -> None:
    """An input that JSON can't represent fails the node that renders it; no model is called."""
    requests: list[Any] = []
    workflow.add_node(LLMNode("n", lambda request: requests.append(request) or "", "{{input.x}}"))
    with pytest.raises(
        NodeExecutionError, match=r"JSON cannot represent 'input.x', or a value in it"
    ):
        execute(workflow, {"x": make()})
    assert requests == []


@pytest.mark.parametrize("make", [cyclic, deep, object])
def test_functions_get_the_input_object(workflow: Workflow, execute: Any, make: Any) -> None:
    """A function gets the caller's own object as input, whatever it is."""
    value = make()
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.inputs["x"] is value))
    assert execute(workflow, {"x": value})["n"] is True


def test_large_inputs_render_in_one_pass(workflow: Workflow, execute: Any) -> None:
    """Ten megabytes of braces render in one pass."""
    text = "{{" * 5_000_000
    workflow.add_node(LLMNode("n", "echo", "{{input.x}}"))
    assert execute(workflow, {"x": text})["n"] == text
