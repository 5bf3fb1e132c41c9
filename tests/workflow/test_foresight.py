"""What is known to fail before a model is asked fails before: no turn is paid and lost."""

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


class Asked:
    """A model that counts."""

    def __init__(self, answer: str = "answer") -> None:
        self.times = 0
        self.answer = answer

    def __call__(self, _: Any) -> str:
        self.times += 1
        return self.answer


@pytest.fixture
def paid() -> Asked:
    """A model."""
    return Asked()


@pytest.fixture(params=["builtin", "jinja"])
def flow(request: pytest.FixtureRequest, config: MemoryConfig) -> Workflow:
    """A workflow with either engine."""
    return Workflow("flow", config, templating=request.param)


@pytest.mark.parametrize("key", ["", LONG, "a\0b"])
@pytest.mark.parametrize("use", ["write", "read"])
def test_keys_made_of_inputs(flow: Workflow, paid: Asked, execute: Any, key: str, use: str) -> None:
    """A key that inputs make illegal, of any node, fails the run before any model is asked."""
    flow.add_node(LLMNode("first", paid, "x"))
    given: Any = {"memory_write": "{{input.key}}"}
    if use == "read":
        given = {"memory_read": [{"key": "{{input.key}}", "as": "it"}]}
    flow.add_node(FunctionNode("last", lambda _: 1, dependencies=["first"], **given))
    with pytest.raises(NodeExecutionError, match=f"'last' failed: InvalidKeyError: memory_{use}: "):
        execute(flow, {"key": key})
    assert paid.times == 0


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("{{first}}", InvalidKeyError),
        ("{{memory.name}}", InvalidKeyError),
        ("{{first.nothing}}", TemplateError),
    ],
)
def test_keys_made_of_what_came_before(
    flow: Workflow, paid: Asked, execute: Any, key: str, fault: type[Exception]
) -> None:
    """A key made of memory or of other outputs is looked at before the node's own model is."""
    flow.memory.set("name", LONG)
    flow.add_node(FunctionNode("first", lambda _: LONG))
    write = ["ok", key]
    flow.add_node(LLMNode("last", paid, "x", memory_read=["name"], memory_write=write))
    with pytest.raises(NodeExecutionError) as told:
        execute(flow)
    assert isinstance(told.value.cause, fault)
    assert paid.times == 0
    assert not flow.memory.exists("ok")


def test_a_key_made_of_the_answer(flow: Workflow, execute: Any) -> None:
    """A key that asks for the node's own answer is looked at once that is there."""
    model = Asked(LONG)
    write = ["{{input.key}}", "{{n}}"]
    flow.add_node(LLMNode("n", model, "x", memory_write=write))
    with pytest.raises(NodeExecutionError, match="InvalidKeyError"):
        execute(flow, {"key": "early"})
    assert (model.times, flow.memory.exists("early")) == (1, False)
    model.answer = "late"
    assert execute(flow, {"key": "early"}).trace["n"].written == (
        ("workflow", "early"),
        ("workflow", "late"),
    )


@pytest.mark.parametrize("key", [LONG, "a\0b"])
def test_a_key_that_is_always_wrong(flow: Workflow, key: str) -> None:
    """A key without a template that no record can have is refused when the node is added."""
    with pytest.raises(WorkflowValidationError, match="memory_write of node 'n': the key has"):
        flow.add_node(LLMNode("n", "echo", "x", memory_write=key))


UNFIT = [math.nan, math.inf, b"x", [math.nan], {"a": b"x"}, {1, 2}]


@pytest.mark.parametrize("value", UNFIT, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("prompt", ["{{input.x}}", "a {{first}} b {{input.x}}"])
@pytest.mark.parametrize("field", ["prompt", "system_prompt"])
def test_inputs_that_no_text_can_hold(
    workflow: Workflow, paid: Asked, execute: Any, value: Any, prompt: str, field: str
) -> None:
    """An input that JSON has no form for fails the run before any model is asked."""
    workflow.add_node(LLMNode("first", paid, "x"))
    texts: Any = {"prompt": "x", field: prompt}
    workflow.add_node(LLMNode("last", "echo", dependencies=["first"], **texts))
    with pytest.raises(NodeExecutionError, match=r"JSON cannot represent 'input\.x'"):
        execute(workflow, {"x": value})
    assert paid.times == 0


def test_an_input_that_is_too_deep(workflow: Workflow, paid: Asked) -> None:
    """An input that is nested too deep to be written does, too."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    workflow.add_node(LLMNode("first", paid, "x"))
    workflow.add_node(LLMNode("last", "echo", "{{first}}{{input.x}}"))
    with pytest.raises(NodeExecutionError, match=r"JSON cannot represent 'input\.x'"):
        workflow.execute({"x": deep})
    assert paid.times == 0


def test_a_part_of_an_input_that_is_missing(flow: Workflow, paid: Asked, execute: Any) -> None:
    """So does a part of an input that is not there."""
    flow.add_node(LLMNode("first", paid, "x"))
    flow.add_node(LLMNode("last", "echo", "{{input.user.name}}", dependencies=["first"]))
    with pytest.raises(NodeExecutionError, match=r"'input\.user\.name' has no value"):
        execute(flow, {"user": {"nmae": "Ada"}})
    assert paid.times == 0


def test_what_a_function_may_mend(flow: Workflow, paid: Asked, execute: Any) -> None:
    """What a function can change in place before it is used is not judged before."""
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
def test_inputs_for_functions_alone(flow: Workflow, execute: Any, value: Any) -> None:
    """An input that no text asks for may be anything."""
    flow.add_node(FunctionNode("n", lambda ctx: type(ctx.inputs["x"]).__name__))
    flow.add_node(LLMNode("m", "echo", "{{n}}{{input.y}}"))
    assert execute(flow, {"x": value, "y": 1})["m"] == f"{type(value).__name__}1"


def test_an_engine_that_fails(paid: Asked, execute: Any) -> None:
    """What an engine of the user's own raises is told as the fault of its node."""

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
    assert paid.times == 0
