"""References: which values a template uses, names that are keys, and missing values."""

import re
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine, Reference
from fibonacci.testing.engine.fixtures import ContractFixtures


class ReferenceTests(ContractFixtures):
    """C26: what the graph and the reads of memory are made of."""

    def test_complete(self, compiler: Engine) -> None:
        """Each place is reported, in the order of the text, with line and column (C26)."""
        start, end = len(self.reference_start), len(self.reference_end)
        first = self.at("memory.history")
        source = f"a {first}{self.at('input.a.b')}\n\n\té {self.at('node')}\n{self.at('node.x.0')}"
        assert compiler.compile(source).references == (
            Reference(root="memory", path=("history",), line=1, column=3 + start),
            Reference(
                root="input",
                path=("a", "b"),
                line=1,
                column=3 + 2 * start + end + len("memory.history"),
            ),
            Reference(root="node", line=3, column=4 + start),
            Reference(root="node", path=("x", 0), line=4, column=1 + start),
        )

    def test_each_time(self, compiler: Engine) -> None:
        """A name that is written twice is reported twice (C26)."""
        template = compiler.compile(f"{self.at('memory.a')}{self.at('memory.a')}")
        assert [reference.name for reference in template.references] == ["memory.a", "memory.a"]

    def test_text_around_values(self, compiler: Engine) -> None:
        """Where literals are told, each rendered text has them in their order (C26)."""
        a, b = self.at("input.a"), self.at("node")
        for parts in (["x\r\n", a, "\n y ", b, ""], ["", a, "", b, "z\n"], ["é", a, b], ["text"]):
            template = compiler.compile("".join(parts))
            told = template.literals
            pattern = ".*" if told is None else ".*".join(map(re.escape, told))
            for value in ("", "v", "text"):
                rendered = template.render({"input": {"a": value}, "memory": {}, "node": value})
                assert re.fullmatch(pattern, rendered, re.DOTALL), (parts, told)

    def test_none(self, compiler: Engine) -> None:
        """Text asks for nothing (C26)."""
        assert compiler.compile("memory.history input").references == ()

    def test_types(self, compiler: Engine) -> None:
        """References are plain data, keys text and indexes numbers (C26)."""
        template = compiler.compile(f"{self.at('memory.items.0.k1')}")
        (reference,) = template.references
        assert [type(part) for part in (reference.root, *reference.path)] == [str, str, int, str]
        assert type(reference.line) is type(reference.column) is int
        assert type(template.references) is tuple
        assert reference.unconditional is True

    def test_newlines(self, compiler: Engine) -> None:
        """Lines end by LF or CRLF, and columns count characters (C26)."""
        source = f"é\r\n😀 {self.at('memory.a')}\r\n{self.at('memory.b')}"
        places = [(one.line, one.column) for one in compiler.compile(source).references]
        assert places == [(2, 3 + len(self.reference_start)), (3, 1 + len(self.reference_start))]


METHODS = ["items", "get", "keys", "pop", "copy", "_x", "__class__", "__len__", "__init__"]
"""Keys that are names of Python, too."""


class NameTests(ContractFixtures):
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


class MissingValueTests(ContractFixtures):
    """C26: names without a value."""

    @pytest.mark.parametrize("name", ["memory.a", "memory.b.c", "memory.b.0.c", "memory.d.e"])
    def test_memory(self, compiler: Engine, name: str) -> None:
        """What is missing in memory is empty text, at any depth (C26)."""
        assert self.shown(compiler, name, memory={"b": {}, "d": None}) == ""

    def test_falsy(self, compiler: Engine) -> None:
        """What is empty, zero, false or null is there (C26)."""
        falsy: list[tuple[Any, str]] = [(0, "0"), (False, "false"), (None, "null"), ([], "[]")]
        for value, text in [*falsy, ("", ""), ({}, "{}"), (0.0, "0.0")]:
            assert self.shown(compiler, "memory.a", memory={"a": value}) == text
            assert self.shown(compiler, "input.a", input={"a": value}) == text
            assert self.shown(compiler, "node", node=value) == text

    def test_input(self, compiler: Engine) -> None:
        """A missing input is an error that says where, which, and what was meant (C26)."""
        error = self.error(compiler, "input.messages", input={"message": "canary", "user": 1})
        assert (error.name, error.nearest) == ("input.messages", "input.message")

    def test_deep_key(self, compiler: Engine) -> None:
        """The error names the path as far as the key that is missing (C26)."""
        error = self.error(compiler, "input.user.names.first", input={"user": {"name": "canary"}})
        assert (error.name, error.nearest) == ("input.user.names", "input.user.name")
        error = self.error(compiler, "input.user.3", input={"user": ["canary"]})
        assert (error.name, error.nearest) == ("input.user.3", None)

    def test_node(self, compiler: Engine) -> None:
        """A missing node is such an error, and so is what is missing in its output (C26)."""
        error = self.error(compiler, "summarizer", summarize="canary")
        assert (error.name, error.nearest) == ("summarizer", "summarize")
        error = self.error(compiler, "node.txt", node={"text": "canary"})
        assert (error.name, error.nearest) == ("node.txt", "node.text")

    @pytest.mark.parametrize("value", ["canary", 1, None, ["canary"]], ids=ascii)
    def test_below_what_holds_nothing(self, compiler: Engine, value: object) -> None:
        """There is nothing below text, a number, null, or by a key in a list (C26)."""
        error = self.error(compiler, "input.a.key", input={"a": value})
        assert (error.name, error.nearest) == ("input.a.key", None)

    def test_nothing_near(self, compiler: Engine) -> None:
        """Nothing is proposed where nothing is near: a shared root is not (C26)."""
        error = self.error(compiler, "input.a", input={"b": "canary", "xyz": 1})
        assert error.nearest is None

    def error(self, compiler: Engine, name: str, **namespace: Any) -> TemplateError:
        """Return the error for a name, which stands in line 2."""
        template = compiler.compile(f"text\n  {self.at(name)}")
        with pytest.raises(TemplateError) as caught:
            template.render({"input": {}, "memory": {}, **namespace})
        error = caught.value
        assert (error.line, error.column) == (2, 3 + len(self.reference_start))
        assert repr(error.name) in str(error)
        assert error.nearest is None or repr(error.nearest) in str(error)
        assert "line 2" in str(error)
        assert "canary" not in str(error)
        return error
