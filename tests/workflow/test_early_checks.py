"""A run that must fail does so before a model is paid."""

import math
from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    InvalidKeyError,
    LLMNode,
    MemoryConfig,
    NodeExecutionError,
    TemplateError,
    Workflow,
    WorkflowValidationError,
)
from fibonacci.plugin import Engine, Template

LONG = "k" * 1_001


class RecordingModel:
    """A model that counts its requests."""

    def __init__(self, answer: str = "answer") -> None:
        self.requests = 0
        self.answer = answer

    def __call__(self, _: Any) -> str:
        self.requests += 1
        return self.answer


@pytest.fixture
def paid() -> RecordingModel:
    """A model that is expensive to call."""
    return RecordingModel()


@pytest.fixture(params=["builtin", "jinja"])
def flow(request: pytest.FixtureRequest, config: MemoryConfig) -> Workflow:
    """A workflow with either engine."""
    return Workflow("flow", config, templating=request.param)


@pytest.mark.parametrize("key", ["", LONG, "a\0b"])
@pytest.mark.parametrize("use", ["write", "read"])
def test_invalid_keys_from_inputs(
    flow: Workflow, paid: RecordingModel, execute: Any, key: str, use: str
) -> None:
    """An invalid key from inputs, of any node, fails the run before any model is called."""
    flow.add_node(LLMNode("first", paid, "x"))
    key_field: Any = {"memory_write": "{{input.key}}"}
    if use == "read":
        key_field = {"memory_read": [{"key": "{{input.key}}", "as": "it"}]}
    flow.add_node(FunctionNode("last", lambda _: 1, dependencies=["first"], **key_field))
    with pytest.raises(NodeExecutionError, match=f"'last' failed: InvalidKeyError: memory_{use}: "):
        execute(flow, {"key": key})
    assert paid.requests == 0


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("{{first}}", InvalidKeyError),
        ("{{memory.name}}", InvalidKeyError),
        ("{{first.nothing}}", TemplateError),
    ],
)
def test_invalid_keys_from_memory_and_outputs(
    flow: Workflow, paid: RecordingModel, execute: Any, key: str, error: type[Exception]
) -> None:
    """An invalid key from memory or other outputs fails its node before its model is called."""
    flow.memory.set("name", LONG)
    flow.add_node(FunctionNode("first", lambda _: LONG))
    write = ["ok", key]
    flow.add_node(LLMNode("last", paid, "x", memory_read=["name"], memory_write=write))
    with pytest.raises(NodeExecutionError) as caught:
        execute(flow)
    assert isinstance(caught.value.cause, error)
    assert paid.requests == 0
    assert not flow.memory.exists("ok")


def test_invalid_key_from_the_own_output(flow: Workflow, execute: Any) -> None:
    """An invalid key from the node's own output fails the node after its model was called."""
    model = RecordingModel(LONG)
    write = ["{{input.key}}", "{{n}}"]
    flow.add_node(LLMNode("n", model, "x", memory_write=write))
    with pytest.raises(NodeExecutionError, match="InvalidKeyError"):
        execute(flow, {"key": "early"})
    assert (model.requests, flow.memory.exists("early")) == (1, False)
    model.answer = "late"
    assert execute(flow, {"key": "early"}).trace["n"].written == (
        ("workflow", "early"),
        ("workflow", "late"),
    )


@pytest.mark.parametrize("key", [LONG, "a\0b"])
def test_invalid_literal_key_is_refused_by_add_node(flow: Workflow, key: str) -> None:
    """add_node() refuses an invalid key that has no template."""
    with pytest.raises(WorkflowValidationError, match="memory_write of node 'n': the key has"):
        flow.add_node(LLMNode("n", "echo", "x", memory_write=key))


UNFIT = [math.nan, math.inf, b"x", [math.nan], {"a": b"x"}, {1, 2}]


@pytest.mark.parametrize("value", UNFIT, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("prompt", ["{{input.x}}", "a {{first}} b {{input.x}}"])
@pytest.mark.parametrize("field", ["prompt", "system_prompt"])
def test_unserializable_input(
    workflow: Workflow, paid: RecordingModel, execute: Any, value: Any, prompt: str, field: str
) -> None:
    """An input that JSON can't represent fails the run before any model is called."""
    workflow.add_node(LLMNode("first", paid, "x"))
    texts: Any = {"prompt": "x", field: prompt}
    workflow.add_node(LLMNode("last", "echo", dependencies=["first"], **texts))
    with pytest.raises(NodeExecutionError, match=r"JSON cannot represent 'input\.x'"):
        execute(workflow, {"x": value})
    assert paid.requests == 0


def test_input_that_is_nested_too_deep(workflow: Workflow, paid: RecordingModel) -> None:
    """An input that is nested too deep to render fails the run before any model is called."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    workflow.add_node(LLMNode("first", paid, "x"))
    workflow.add_node(LLMNode("last", "echo", "{{first}}{{input.x}}"))
    with pytest.raises(NodeExecutionError, match=r"JSON cannot represent 'input\.x'"):
        workflow.execute({"x": deep})
    assert paid.requests == 0


def test_missing_part_of_an_input(flow: Workflow, paid: RecordingModel, execute: Any) -> None:
    """A missing part of an input fails the run before any model is called."""
    flow.add_node(LLMNode("first", paid, "x"))
    flow.add_node(LLMNode("last", "echo", "{{input.user.name}}", dependencies=["first"]))
    with pytest.raises(NodeExecutionError, match=r"'input\.user\.name' has no value"):
        execute(flow, {"user": {"nmae": "Ada"}})
    assert paid.requests == 0


def test_mutable_inputs_are_not_checked_early(
    flow: Workflow, paid: RecordingModel, execute: Any
) -> None:
    """An input that a function can change in place is not checked before the function ran."""
    flow.add_node(LLMNode("first", paid, "x"))
    mend = FunctionNode("mend", lambda ctx: ctx.inputs["user"].update(name="Ada"))
    flow.add_node(mend)
    write = "of:{{input.user.name}}"
    texts: Any = {"prompt": "{{input}}", "memory_write": write}
    flow.add_node(LLMNode("last", "echo", dependencies=["mend"], **texts))
    result = execute(flow, {"user": {"name": LONG}})
    assert result["last"] == '{"user":{"name":"Ada"}}'
    assert flow.memory.exists("of:Ada")


@pytest.mark.parametrize("value", UNFIT, ids=lambda value: type(value).__name__)
def test_unreferenced_inputs_are_not_checked(flow: Workflow, execute: Any, value: Any) -> None:
    """An input that no template references may be any object."""
    flow.add_node(FunctionNode("n", lambda ctx: type(ctx.inputs["x"]).__name__))
    flow.add_node(LLMNode("m", "echo", "{{n}}{{input.y}}"))
    assert execute(flow, {"x": value, "y": 1})["m"] == f"{type(value).__name__}1"


def test_engine_error_is_an_error_of_its_node(paid: RecordingModel, execute: Any) -> None:
    """An exception of a user's engine is the cause of its node's error."""

    class Broken(Template):
        references = Workflow("w")._engine.compile("{{input.x}}").references

        def render(self, namespace: Any) -> str:
            raise ZeroDivisionError

    class BrokenEngine(Engine):
        def compile(self, source: str) -> Template:
            return Broken()

    flow = Workflow("flow", templating=BrokenEngine())
    flow.add_node(LLMNode("first", paid, "x"))
    flow.add_node(LLMNode("last", paid, "y"))
    with pytest.raises(NodeExecutionError, match="'first' failed: ZeroDivisionError"):
        execute(flow, {"x": 1})
    assert paid.requests == 0
