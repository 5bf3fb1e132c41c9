"""The inputs of an execution: checked before anything runs."""

from collections import OrderedDict, UserDict
from random import Random
from time import process_time
from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    InvalidArgumentError,
    LLMNode,
    NodeExecutionError,
    Workflow,
)


@pytest.mark.parametrize("make", [dict, OrderedDict, UserDict])
def test_any_mapping(workflow: Workflow, execute: Any, make: Any) -> None:
    """Inputs are any Mapping of text to values."""
    workflow.add_node(LLMNode("n", "echo", "{{input.x.y}}{{input}}"))
    assert execute(workflow, make({"x": {"y": 1}}))["n"] == '1{"x":{"y":1}}'


@pytest.mark.parametrize("inputs", [["x"], "x", 3, [("x", 1)]])
def test_what_is_no_mapping(workflow: Workflow, execute: Any, inputs: Any) -> None:
    """Anything else is refused."""
    workflow.add_node(LLMNode("n", "echo", "x"))
    with pytest.raises(InvalidArgumentError, match="inputs must be a dict of values by name"):
        execute(workflow, inputs)


@pytest.mark.parametrize("name", [1, None, b"x", ("a",)])
def test_names_are_text(workflow: Workflow, execute: Any, name: Any) -> None:
    """The name of an input is text."""
    workflow.add_node(LLMNode("n", "echo", "x"))
    with pytest.raises(InvalidArgumentError, match="inputs must have text as names"):
        execute(workflow, {name: 1})


def test_a_missing_input(workflow: Workflow, execute: Any) -> None:
    """An input that a text asks for is missed before anything runs, with where and how to mend."""
    ran: list[int] = []
    workflow.add_node(FunctionNode("first", lambda _: ran.append(1)))
    workflow.add_node(LLMNode("n", "echo", "a\n{{input.message}}"))
    with pytest.raises(InvalidArgumentError) as told:
        execute(workflow, {"mesage": "secret"})
    assert str(told.value) == (
        "the input 'message' is missing: the prompt of node 'n' asks for it in line 2. "
        "Did you mean 'mesage'? Pass inputs={'message': ...}"
    )
    assert ran == []


def test_names_that_take_long_to_compare(workflow: Workflow, execute: Any) -> None:
    """A client that sends 2.5 MB of names much like a missing one holds nobody up."""
    name, letters = "what_a_customer_would_like_to_know" * 2, Random(1)
    workflow.add_node(LLMNode("n", "echo", f"{{{{input.{name}}}}}"))
    names = ["".join(letters.sample(name, len(name))) for _ in range(1_100)]
    names += [f"{name[::-1]}{number}" for number in range(2_500_000 // len(name))]
    start = process_time()
    with pytest.raises(InvalidArgumentError, match="is missing"):
        execute(workflow, dict.fromkeys(names))
    assert process_time() - start < 0.15


@pytest.mark.parametrize("value", ["", None, 0, [], False])
def test_empty_inputs_are_given(workflow: Workflow, execute: Any, value: Any) -> None:
    """An input that is given is not missing, whatever it is."""
    workflow.add_node(LLMNode("n", "echo", "<{{input.x}}>"))
    written = {"": "<>", "None": "<null>", "0": "<0>", "[]": "<[]>", "False": "<false>"}
    assert execute(workflow, {"x": value})["n"] == written[str(value)]


def test_numbers_as_names(workflow: Workflow, execute: Any) -> None:
    """An input may be named by digits."""
    workflow.add_node(LLMNode("n", "echo", "{{input.0}}"))
    assert execute(workflow, {"0": "zero"})["n"] == "zero"


def test_inputs_that_nobody_asks_for(workflow: Workflow, execute: Any) -> None:
    """An input that no text asks for is there for functions, and harms nobody."""
    workflow.add_node(FunctionNode("n", lambda ctx: len(ctx.inputs)))
    assert execute(workflow, {"x": 1, "y": object()})["n"] == 2
    assert execute(workflow)["n"] == 0


@pytest.mark.parametrize("value", [[float("nan")], {"score": float("inf")}])
def test_numbers_that_are_no_json(workflow: Workflow, value: Any) -> None:
    """NaN and Infinity are not written as null into a prompt: JSON has no form for them (C27)."""
    workflow.add_node(LLMNode("n", "echo", "{{input.x}}"))
    with pytest.raises(NodeExecutionError, match=r"JSON cannot represent 'input.x'"):
        workflow.execute({"x": value})


class Words(str):
    """Text of a type of its own."""


HALF = "nice \ud83d"

UNSTORABLE: list[tuple[Any, str]] = [
    ({"m": HALF}, "input.m has half of a surrogate pair, at position 5"),
    ({"m": Words(HALF)}, "input.m has half of"),
    ({"m": "ok", "history": [{"user": "a"}, {"user": HALF}]}, "input.history[1].user has half of"),
    ({"m": (1, OrderedDict(a=HALF))}, "input.m[1].a has half of"),
    ({"m": {HALF: 1}}, "input.m has a key with half of"),
    ({HALF: 1}, "input has a key with half of"),
    ({"m": {(1, 2): {3: HALF}}}, "input.m['<tuple>'][3] has half of"),
    ({"m": [object(), float("nan"), "\udc00" * 2, HALF]}, "input.m[2] has half of"),
]


@pytest.mark.parametrize(("inputs", "fault"), UNSTORABLE)
def test_text_that_can_not_be_stored(
    counted: Workflow, store: Any, execute: Any, inputs: Any, fault: str
) -> None:
    """Half of a surrogate pair is refused before a model is asked, with the way to it."""
    asked: list[Any] = []
    counted.add_node(LLMNode("n", lambda one: asked.append(one) or "", "x", memory_read=["k"]))
    with pytest.raises(InvalidArgumentError) as told:
        execute(counted, inputs)
    assert str(told.value).startswith(fault)
    assert str(told.value).endswith('pass text.encode(errors="replace").decode()')
    assert str(told.value).isprintable()
    assert (asked, store.reads) == ([], [])


def test_a_stream_refuses_it_too(workflow: Workflow, stream: Any) -> None:
    """A stream tells of no node that started."""
    workflow.add_node(LLMNode("n", "echo", "{{input.m}}"))
    with pytest.raises(InvalidArgumentError, match=r"input\.m has half of a surrogate pair"):
        next(stream(workflow, {"m": HALF}))


def test_text_beside_what_is_no_json(workflow: Workflow, execute: Any) -> None:
    """Text beside objects, cycles and great depths is looked through, and all are let in."""
    cycle: list[Any] = ["\U0001f600"]
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.inputs["m"][2] is cycle))
    assert execute(workflow, {"m": [object(), {1: "é"}, cycle, deep]})["n"] is True
    cycle.append(HALF)
    with pytest.raises(InvalidArgumentError, match=r"^input\.m\[2\]\[2\] has half"):
        execute(workflow, {"m": [object(), {1: "é"}, cycle, deep]})
    deep.append(HALF)
    with pytest.raises(InvalidArgumentError, match=r"^input\.m\[0\]\[1\] has half"):
        execute(workflow, {"m": [deep]})
