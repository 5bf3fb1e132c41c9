"""Names: keys of mappings and indexes of lists, and nothing of Python."""

from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest

from fibonacci.plugin import Engine
from fibonacci.testing.engine.bench import Bench

METHODS = ["items", "get", "keys", "pop", "copy", "_x", "__class__", "__len__", "__init__"]
"""Keys that are names of Python, too."""


class Names(Bench):
    """C27: the way to a value."""

    def test_deep(self, compiler: Engine) -> None:
        """A path leads through mappings and lists (C27)."""
        chat: dict[str, Any] = {"history": [{"content": "a"}, {"content": ["b", "c"]}]}
        assert self.shown(compiler, "memory.history.0.content", memory=chat) == "a"
        assert self.shown(compiler, "memory.history.1.content.1", memory=chat) == "c"
        assert self.shown(compiler, "input.history.0.content", input=chat) == "a"
        assert self.shown(compiler, "node.history.0.content", node=chat) == "a"

    def test_whole(self, compiler: Engine) -> None:
        """A name alone is all that it names (C27)."""
        assert self.shown(compiler, "node", node="text") == "text"
        assert self.shown(compiler, "node", node={"a": 1}) == '{"a":1}'
        assert self.shown(compiler, "input", input={"a": 1}) == '{"a":1}'
        assert self.shown(compiler, "memory", memory={"a": 1}) == '{"a":1}'

    @pytest.mark.parametrize("key", METHODS)
    def test_key_named_as_a_method(self, compiler: Engine, key: str) -> None:
        """A key is found, whatever Python calls by that name (C27)."""
        holder = {key: "value"}
        assert self.shown(compiler, f"memory.{key}", memory=holder) == "value"
        assert self.shown(compiler, f"input.{key}", input=holder) == "value"
        assert self.shown(compiler, f"node.{key}", node=holder) == "value"
        assert self.shown(compiler, f"memory.a.{key}", memory={"a": holder}) == "value"

    @pytest.mark.parametrize("key", [*METHODS, "append", "upper", "format", "real"])
    def test_no_attribute(self, compiler: Engine, key: str) -> None:
        """No method or attribute is ever reached: such a key is missing (C27)."""
        values: list[Any] = [{}, {"other": 1}, [], ["a"], "text", 1, 1.5, True, None]
        for value in values:
            assert self.shown(compiler, f"memory.a.{key}", memory={"a": value}) == ""
        assert self.shown(compiler, f"memory.{key}") == ""

    def test_digits(self, compiler: Engine) -> None:
        """A number is an index of a list, and a key of a mapping (C27)."""
        assert self.shown(compiler, "input.a.0", input={"a": ["first"]}) == "first"
        assert self.shown(compiler, "input.a.0", input={"a": ("first",)}) == "first"
        assert self.shown(compiler, "input.a.2024", input={"a": {"2024": "year"}}) == "year"

    def test_index_of_nothing_else(self, compiler: Engine) -> None:
        """Text has no characters by index, and a list has no other indexes (C27)."""
        values: list[Any] = ["text", 10, None, [], {}, {"1": "a"}]
        for value in values:
            assert self.shown(compiler, "memory.a.0", memory={"a": value}) == ""
        assert self.shown(compiler, "memory.a.2", memory={"a": [1, 2]}) == ""

    def test_case(self, compiler: Engine) -> None:
        """Names are never folded (C27)."""
        assert self.shown(compiler, "memory.A", memory={"a": 1}) == ""
        assert self.shown(compiler, "memory.a_b", memory={"ab": 1, "a-b": 1}) == ""

    @pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType])
    def test_any_mapping(self, compiler: Engine, kind: Any) -> None:
        """Whatever is a mapping has keys (C27)."""
        template = compiler.compile(f"{self.at('input.a.b')}{self.at('memory.a')}{self.at('n.a')}")
        namespace = {"input": kind({"a": kind({"b": 1})}), "memory": kind({"a": 2}), "n": {"a": 3}}
        assert template.render(kind(namespace)) == "123"
        assert self.shown(compiler, "input", input=kind({"a": kind({"b": 1})})) == '{"a":{"b":1}}'
