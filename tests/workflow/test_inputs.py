"""The inputs of an execution are validated before anything runs."""

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
def test_inputs_may_be_any_mapping(workflow: Workflow, execute: Any, make: Any) -> None:
    """Inputs may be any Mapping from text to values."""
    workflow.add_node(LLMNode("n", "echo", "{{input.x.y}}{{input}}"))
    assert execute(workflow, make({"x": {"y": 1}}))["n"] == '1{"x":{"y":1}}'


@pytest.mark.parametrize("inputs", [["x"], "x", 3, [("x", 1)]])
def test_inputs_must_be_a_mapping(workflow: Workflow, execute: Any, inputs: Any) -> None:
    """Inputs that are not a Mapping are refused."""
    workflow.add_node(LLMNode("n", "echo", "x"))
    with pytest.raises(InvalidArgumentError, match="inputs must be a dict of values by name"):
        execute(workflow, inputs)


@pytest.mark.parametrize("name", [1, None, b"x", ("a",)])
def test_input_names_must_be_text(workflow: Workflow, execute: Any, name: Any) -> None:
    """An input whose name is not text is refused."""
    workflow.add_node(LLMNode("n", "echo", "x"))
    with pytest.raises(InvalidArgumentError, match="the names of inputs must be text"):
        execute(workflow, {name: 1})


def test_missing_input_is_refused_early(workflow: Workflow, execute: Any) -> None:
    """A missing input is an error before anything runs, with its position and the fix."""
    ran: list[int] = []
    workflow.add_node(FunctionNode("first", lambda _: ran.append(1)))
    workflow.add_node(LLMNode("n", "echo", "a\n{{input.message}}"))
    with pytest.raises(InvalidArgumentError) as caught:
        execute(workflow, {"mesage": "secret"})
    assert str(caught.value) == (
        "the input 'message' is missing: the prompt of node 'n' uses it in line 2. "
        "Did you mean 'mesage'? Pass inputs={'message': ...}"
    )
    assert ran == []


def test_similar_names_are_found_fast(workflow: Workflow, execute: Any) -> None:
    """2.5 MB of names similar to a missing one delay nobody."""
    name, letters = "what_a_customer_would_like_to_know" * 2, Random(1)
    workflow.add_node(LLMNode("n", "echo", f"{{{{input.{name}}}}}"))
    names = ["".join(letters.sample(name, len(name))) for _ in range(1_100)]
    names += [f"{name[::-1]}{number}" for number in range(2_500_000 // len(name))]
    start = process_time()
    with pytest.raises(InvalidArgumentError, match="is missing"):
        execute(workflow, dict.fromkeys(names))
    assert process_time() - start < 0.15


@pytest.mark.parametrize("value", ["", None, 0, [], False])
def test_falsy_inputs_are_not_missing(workflow: Workflow, execute: Any, value: Any) -> None:
    """An input with a falsy value is not missing."""
    workflow.add_node(LLMNode("n", "echo", "<{{input.x}}>"))
    written = {"": "<>", "None": "<null>", "0": "<0>", "[]": "<[]>", "False": "<false>"}
    assert execute(workflow, {"x": value})["n"] == written[str(value)]


def test_digits_as_names(workflow: Workflow, execute: Any) -> None:
    """The name of an input may consist of digits."""
    workflow.add_node(LLMNode("n", "echo", "{{input.0}}"))
    assert execute(workflow, {"0": "zero"})["n"] == "zero"


def test_unreferenced_inputs_are_allowed(workflow: Workflow, execute: Any) -> None:
    """An input that no template references is available to functions."""
    workflow.add_node(FunctionNode("n", lambda ctx: len(ctx.inputs)))
    assert execute(workflow, {"x": 1, "y": object()})["n"] == 2
    assert execute(workflow)["n"] == 0


@pytest.mark.parametrize("value", [[float("nan")], {"score": float("inf")}])
def test_nan_and_infinity_are_refused(workflow: Workflow, value: Any) -> None:
    """NaN and Infinity are not rendered as null, as JSON can't represent them (C27)."""
    workflow.add_node(LLMNode("n", "echo", "{{input.x}}"))
    with pytest.raises(NodeExecutionError, match=r"JSON cannot represent 'input.x'"):
        workflow.execute({"x": value})


class Words(str):
    """A subclass of str."""


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


@pytest.mark.parametrize(("inputs", "error"), UNSTORABLE)
def test_lone_surrogates_are_refused(
    counted: Workflow, store: Any, execute: Any, inputs: Any, error: str
) -> None:
    """Half of a surrogate pair is refused before a model is called, with its path."""
    requests: list[Any] = []
    counted.add_node(
        LLMNode("n", lambda request: requests.append(request) or "", "x", memory_read=["k"])
    )
    with pytest.raises(InvalidArgumentError) as caught:
        execute(counted, inputs)
    assert str(caught.value).startswith(error)
    assert str(caught.value).endswith('pass text.encode(errors="replace").decode()')
    assert str(caught.value).isprintable()
    assert (requests, store.reads) == ([], [])


def test_stream_refuses_lone_surrogates(workflow: Workflow, stream: Any) -> None:
    """A stream refuses half of a surrogate pair before it reports that a node has started."""
    workflow.add_node(LLMNode("n", "echo", "{{input.m}}"))
    with pytest.raises(InvalidArgumentError, match=r"input\.m has half of a surrogate pair"):
        next(stream(workflow, {"m": HALF}))


def test_surrogates_are_found_among_other_objects(workflow: Workflow, execute: Any) -> None:
    """Text among objects, cycles and deep nesting is checked; those are allowed."""
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
