"""What core offers to engines: rendering of values, look-ups, and the missing-value error."""

from collections import OrderedDict, defaultdict
from datetime import date
from math import inf, nan
from types import MappingProxyType

import pytest

from fibonacci.plugin import Reference, get_child, missing_value_error, render_value


def test_render_value_of_text():
    """render_value() returns text as it is, and the plain text of a str subclass."""

    class Text(str):
        def __str__(self):
            return "another face"

    assert render_value("é{{") == "é{{"
    assert render_value(Text("plain")) == "plain"
    assert type(render_value(Text("plain"))) is str


def test_render_value_of_mappings():
    """render_value() renders any Mapping as a JSON object, with large numbers too."""
    view = MappingProxyType({"a": MappingProxyType({"b": 1})})
    assert render_value(view) == '{"a":{"b":1}}'
    assert render_value([view, 2**64]) == '[{"a":{"b":1}},18446744073709551616]'
    assert render_value(OrderedDict(b=1, a=2)) == '{"b":1,"a":2}'


@pytest.mark.parametrize(
    "value", [{1}, object(), [2**64, object()], b"x", date(2025, 1, 23), [None, Reference]]
)
def test_render_value_of_unserializable_values(value):
    """render_value() raises TypeError for a value that JSON can't represent."""
    with pytest.raises(TypeError):
        render_value(value)


@pytest.mark.parametrize("value", [nan, inf, -inf, [2**64, nan]])
def test_render_value_of_nan(value):
    """render_value() raises ValueError for NaN and Infinity; None renders as null."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_value(value)
    assert render_value(None) == "null"


def test_get_child():
    """get_child() looks up a key of a mapping or an index of a list, and nothing else."""
    assert get_child({"a": None}, "a", 1) is None
    assert get_child({}, "a", 1) == 1
    assert get_child({"0": "x"}, 0) == "x"
    assert get_child(["x"], 0) == get_child(("x",), 0) == "x"
    assert (
        get_child(["x"], 1)
        is get_child(["x"], -1)
        is get_child(["x"], "0")
        is get_child("x", 0)
        is None
    )
    assert get_child({"items": 1}, "items") == 1
    assert get_child({}, "items") is None


def test_get_child_creates_no_default():
    """get_child() does not make a defaultdict create the missing key."""
    making = defaultdict(list)
    assert get_child(making, "a") is None
    assert dict(making) == {}


def test_missing_value_error_suggests_a_name():
    """missing_value_error() compares only the last key, and suggests the whole name."""
    error = missing_value_error("input.user.nmae", ["name", "mail"], line=2, column=5)
    assert str(error) == (
        "line 2, column 5: 'input.user.nmae' has no value. Did you mean 'input.user.name'?"
    )
    assert (error.name, error.nearest) == ("input.user.nmae", "input.user.name")
    assert (error.line, error.column) == (2, 5)
    assert missing_value_error("input.a", ["b", "inputs"], line=1, column=1).nearest is None
    assert missing_value_error("sumarize", ["summarize"], line=1, column=1).nearest == "summarize"


def test_missing_value_error_compares_few_names():
    """missing_value_error() compares only some of very many keys, as each takes time."""
    keys = [f"other{number}" for number in range(1_000)]
    assert missing_value_error("input.key", [*keys, "keys"], line=1, column=1).nearest is None
    assert (
        missing_value_error("input.key", ["keys", *keys], line=1, column=1).nearest == "input.keys"
    )


def test_reference_name():
    """Reference.name is the reference as a template writes it."""
    assert Reference(root="memory", path=("a", 0), line=1, column=1).name == "memory.a.0"
    assert Reference(root="node", line=1, column=1).name == "node"
