"""Without orjson, the standard library gives the same values, errors and records."""

import sys
import tomllib
from collections import UserDict
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from without_orjson import without_orjson

from fibonacci import FibonacciError, InvalidArgumentError, LLMNode, Workflow
from fibonacci._memory import codec
from fibonacci.plugin import Address, Space, render_value
from fibonacci.plugin._orjson import FIRST_UNSAFE, LOWEST, find_orjson

ADDRESS = Address(Space("fibonacci:", "workflow", "w"), "turn")
CORE = Path(__file__).parents[2] / "core" / "pyproject.toml"

edges = st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 1e-5, 1.5e-7, 1e16, -0.0])
leaves = st.none() | st.booleans() | st.integers() | edges | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    leaves,
    lambda inside: (
        st.lists(inside, max_size=5)
        | st.tuples(inside)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inside, max_size=5)
    ),
    max_leaves=12,
)
numbers = st.from_regex(r"-?[0-9]{1,25}(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def outcome(function: Any, *arguments: Any) -> str:
    """What a call returns, or how it fails: with the same words in either way."""
    try:
        return repr(function(*arguments))
    except (FibonacciError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


@given(values)
@settings(max_examples=100)
def test_records_are_the_same_without_orjson(value: Any):
    """C7, C25: values, refusals and records are the same with and without orjson."""
    with without_orjson():
        slowly = outcome(codec.encode, value, ADDRESS)
    quickly = outcome(codec.encode, value, ADDRESS)
    if not quickly.startswith("b"):
        assert slowly == quickly
        return
    slow, quick = eval(slowly), eval(quickly)
    assert slow.startswith(b" ") is quick.startswith(b" ")
    with without_orjson():
        read = [codec.decode(slow, ADDRESS), codec.decode(quick, ADDRESS)]
    read += [codec.decode(slow, ADDRESS), codec.decode(quick, ADDRESS)]
    assert len(set(map(repr, read))) == 1


@given(
    st.binary()
    | st.text().map(str.encode)
    | numbers.map(str.encode)
    | values.map(repr).map(lambda text: text.replace("'", '"').encode(errors="surrogatepass"))
    | st.sampled_from([b"9" * 400, b"[-" + b"9" * 5_000 + b"]", b'"\\ud83d"', b'{"a":1e999}'])
)
@settings(max_examples=150)
def test_foreign_bytes_are_read_the_same_without_orjson(data: bytes):
    """C8: the same bytes are corrupt, and a number beyond 64 bits is the same number."""
    with without_orjson():
        slowly = outcome(codec.decode, data, ADDRESS)
    assert slowly == outcome(codec.decode, data, ADDRESS)


class Colour(Enum):
    RED = (1, "red")


@pytest.mark.parametrize(
    "value", ["é", [1, None, 1.5, "é"], UserDict(a=Colour.RED), {"id": [UUID(int=7)]}, {1}, [b"x"]]
)
def test_prompt_is_the_same_without_orjson(value: Any):
    """The text of a prompt, and what it refuses, does not depend on orjson."""
    with without_orjson():
        slowly = outcome(render_value, value)
    assert slowly == outcome(render_value, value)


def test_inputs_are_checked_without_orjson():
    """Inputs with text that can't be stored are refused before a model is called."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", "echo", "{{ input.m }}"))
    with without_orjson():
        assert workflow.execute({"m": ["good"]})["n"] == '["good"]'
        with pytest.raises(InvalidArgumentError, match=r"input\.m\[0\] has half of a surrogate"):
            workflow.execute({"m": ["\ud83d"]})


@pytest.mark.parametrize(
    ("version", "used"),
    [("3.10.6", False), ("3.10.7", True), ("3.11.9", True), ("3.12.0", False), ("3.13.0", False)],
)
def test_unsafe_orjson_version_is_not_used(monkeypatch, version: str, used: bool):
    """An orjson version that crashes is not used, even if it is installed against the metadata."""
    module = SimpleNamespace(__version__=version)
    monkeypatch.setitem(sys.modules, "orjson", module)
    assert find_orjson() is (module if used else None)


def test_orjson_that_fails_to_import_is_not_used(monkeypatch):
    """orjson is not used if it is missing, or built for another Python."""
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert find_orjson() is None


def test_metadata_requires_orjson_only_with_wheels():
    """The metadata requires orjson only for Pythons, machines and systems with wheels of it."""
    texts = tomllib.loads(CORE.read_text())["project"]["dependencies"]
    (wanted,) = [Requirement(text) for text in texts if text.startswith("orjson")]
    marker = wanted.marker
    assert marker is not None

    def is_required(implementation: str, version: str, system: str, machine: str) -> bool:
        python = {"platform_python_implementation": implementation, "python_version": version}
        return marker.evaluate({**python, "sys_platform": system, "platform_machine": machine})

    assert is_required("CPython", "3.11", "linux", "x86_64")
    assert is_required("CPython", "3.14", "darwin", "arm64")
    assert is_required("CPython", "3.13", "win32", "AMD64")
    assert not is_required("CPython", "3.15", "linux", "x86_64")
    assert not is_required("PyPy", "3.11", "linux", "x86_64")
    assert not is_required("CPython", "3.13", "freebsd14", "amd64")
    assert not is_required("CPython", "3.13", "linux", "riscv64")
    assert not is_required("CPython", "3.13", "linux", "ppc64")
    lowest, unsafe = (".".join(map(str, version)) for version in (LOWEST, FIRST_UNSAFE))
    assert str(wanted.specifier) in {f">={lowest},<{unsafe}", f"<{unsafe},>={lowest}"}
