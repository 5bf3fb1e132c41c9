"""The keys of memory_read may be templates, rendered for each run (C26)."""

from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    InvalidArgumentError,
    InvalidKeyError,
    LLMNode,
    MemoryConfig,
    MemoryKey,
    MemoryRead,
    NodeExecutionError,
    TemplateError,
    Workflow,
    WorkflowValidationError,
)
from fibonacci.plugin import Engine, Template

THREAD: MemoryRead = {"key": "thread:{{input.id}}", "as": "thread"}


def reading(workflow: Workflow, *wanted: Any, **fields: Any) -> None:
    """Add a node that returns its memory values."""
    workflow.add_node(
        FunctionNode("n", lambda ctx: dict(ctx.memory_values), memory_read=wanted, **fields)
    )


@pytest.mark.parametrize("templating", ["builtin", "jinja"])
def test_input_selects_the_record(config: MemoryConfig, execute: Any, templating: str) -> None:
    """A node reads and writes the record that an input names, in its user's scope."""
    workflow = Workflow("flow", config, templating=templating)
    workflow.add_node(
        LLMNode(
            "chat",
            "echo",
            "{{memory.thread}}|{{input.m}}",
            memory_read=[THREAD],
            memory_write={"key": THREAD["key"], "mode": "append"},
        )
    )
    for thread, message in [("a", "one"), ("b", "two")]:
        execute(workflow, {"id": thread, "m": message}, "ada")
    execute(workflow, {"id": "a", "m": "from nobody"})
    result = execute(workflow, {"id": "a", "m": "three"}, "ada")
    assert result["chat"] == '["|one"]|three'
    assert result.trace["chat"].read == (MemoryKey("user", "thread:a"),)
    assert execute(workflow, {"id": "a", "m": "hi"}, "bob")["chat"] == "|hi"


def test_keys_use_outputs_and_paths(workflow: Workflow, execute: Any) -> None:
    """A key may use outputs of other nodes, on which its node depends, and parts of values."""
    workflow.memory.set("en/7/{{", "found")
    key = "{{lang}}/{{input.ids.0}}/{{ '{{' }}"
    reading(workflow, {"key": key, "as": "it", "scope": "workflow"}, {"key": "k", "default": 1})
    workflow.add_node(FunctionNode("lang", lambda _: "en"))
    assert execute(workflow, {"ids": [7]})["n"] == {"it": "found", "k": 1}
    assert execute(workflow, {"ids": [8]})["n"] == {"k": 1}


def test_rendered_key_is_read_from_the_nearest_scope(workflow: Workflow, execute: Any) -> None:
    """A rendered key that no node writes without a scope is read from the nearest scope."""
    workflow.memory.set("thread:a", "shared", scope="global")
    reading(workflow, {**THREAD, "default": "none"}, memory_write="thread")
    assert execute(workflow, {"id": "a"}, "ada")["n"] == {"thread": "shared"}
    assert execute(workflow, {"id": "b"}, "ada")["n"] == {"thread": "none"}


def test_rendered_keys_are_not_expanded(workflow: Workflow, execute: Any) -> None:
    """A template in an input is text of the key, and is not expanded."""
    workflow.memory.set("thread:{{input.id}}", "found")
    reading(workflow, THREAD)
    assert execute(workflow, {"id": "{{input.id}}"})["n"] == {"thread": "found"}


def test_rendered_keys_share_the_request(counted: Workflow, store: Any, execute: Any) -> None:
    """Rendered keys are read in the same request as all others."""
    reading(counted, THREAD, "k", {"key": "{{input.id}}", "as": "x", "scope": "global"})
    execute(counted, {"id": "a"})
    assert [[address.key for address in request] for request in store.reads] == [
        ["thread:a"] * 3 + ["k"] * 3 + ["a"]
    ]


@pytest.mark.parametrize("key", ["", "a\0b", "k" * 1001])
def test_invalid_rendered_key_fails_the_node(workflow: Workflow, execute: Any, key: str) -> None:
    """An invalid rendered key fails the node, and no model is called."""
    requests: list[Any] = []
    wanted: list[MemoryRead] = [{"key": "{{input.id}}", "as": "it"}]
    workflow.add_node(
        LLMNode(
            "n", lambda request: requests.append(request) or "", "{{memory.it}}", memory_read=wanted
        )
    )
    with pytest.raises(NodeExecutionError, match="memory_read: the key of 'it'") as caught:
        execute(workflow, {"id": key})
    assert isinstance(caught.value.cause, InvalidKeyError)
    assert requests == []


def test_missing_value_in_a_key(workflow: Workflow, execute: Any) -> None:
    """A missing input of a key is an error before anything runs; a missing part, at the node."""
    reading(workflow, {"key": "{{input.user.id}}", "as": "it"})
    with pytest.raises(InvalidArgumentError, match="the memory_read of node 'n' uses it"):
        execute(workflow)
    with pytest.raises(NodeExecutionError, match=r"'input.user.id' has no value"):
        execute(workflow, {"user": {}})


@pytest.mark.parametrize("key", ["{{input.id}}", "thread:{{input.id}}", "{{ '{{' }}"])
def test_template_key_needs_a_name(workflow: Workflow, key: str) -> None:
    """A key that is a template is refused without "as", and the error shows how to write it."""
    for wanted in (key, {"key": key}):
        with pytest.raises(
            WorkflowValidationError, match="is a template and needs a name"
        ) as caught:
            reading(workflow, wanted)
        assert str(caught.value).endswith(f"{{'key': {key!r}, 'as': 'name'}}")


REFUSED = [
    ("{{memory.lang}}", r"column 3 references memory.lang before memory is read: the key"),
    ("{{n.id}}", r"column 3 references n.id before the node has run: the key"),
    ("a{{", r"column 2: this {{ is never closed"),
    ("{{input.x|upper}}", r"Filters, calls and subscripts are for"),
]


@pytest.mark.parametrize(("key", "error"), REFUSED)
def test_unrenderable_key_is_refused(workflow: Workflow, key: str, error: str) -> None:
    """add_node() refuses a key that no run could render."""
    with pytest.raises(TemplateError, match=f"the memory_read of node 'n': .*{error}"):
        reading(workflow, "lang", {"key": key, "as": "it"})


def test_unknown_node_in_a_key(workflow: Workflow) -> None:
    """validate() refuses an unknown node in a key, with its position."""
    reading(workflow, {"key": "{{topik}}", "as": "it"})
    workflow.add_node(FunctionNode("topic", lambda _: 1))
    with pytest.raises(
        WorkflowValidationError,
        match=r"the memory_read of node 'n': line 1, column 3 references 'topik'.*mean 'topic'\?",
    ):
        workflow.validate()


def test_cycle_through_keys(workflow: Workflow) -> None:
    """validate() refuses a cycle of two nodes through their keys."""
    reading(workflow, {"key": "{{other}}", "as": "it"})
    workflow.add_node(LLMNode("other", "echo", "{{n}}"))
    with pytest.raises(WorkflowValidationError, match="dependency cycle: "):
        workflow.validate()


class SourceTemplate(Template):
    """Renders to its source, and does not report literals."""

    references = ()

    def __init__(self, source: str) -> None:
        self.source = source

    def render(self, namespace: Any) -> str:
        return self.source


class PlainEngine(Engine):
    """An engine without templates."""

    def compile(self, source: str) -> Template:
        return SourceTemplate(source)


def test_engine_without_literals(config: MemoryConfig, execute: Any) -> None:
    """If an engine reports no literals, a key without references is what it renders to."""
    workflow = Workflow("flow", config, templating=PlainEngine())
    workflow.memory.set_many({"k": 1, "{{l}}": 2})
    reading(workflow, "k", "{{l}}", memory_write="k")
    assert execute(workflow, user_id="ada")["n"] == {"{{l}}": 2}
