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

    def test_all_references(self, compiler: Engine) -> None:
        """Each reference is reported, in the order of the text, with line and column (C26)."""
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

    def test_repeated_reference(self, compiler: Engine) -> None:
        """A name that is written twice is reported twice (C26)."""
        template = compiler.compile(f"{self.at('memory.a')}{self.at('memory.a')}")
        assert [reference.name for reference in template.references] == ["memory.a", "memory.a"]

    def test_template_literals(self, compiler: Engine) -> None:
        """Each rendered text has the template's literals, in their order (C26)."""
        a, b = self.at("input.a"), self.at("node")
        for parts in (["x\r\n", a, "\n y ", b, ""], ["", a, "", b, "z\n"], ["é", a, b], ["text"]):
            template = compiler.compile("".join(parts))
            literals = template.literals
            pattern = ".*" if literals is None else ".*".join(map(re.escape, literals))
            for value in ("", "v", "text"):
                rendered = template.render({"input": {"a": value}, "memory": {}, "node": value})
                assert re.fullmatch(pattern, rendered, re.DOTALL), (parts, literals)

    def test_no_reference(self, compiler: Engine) -> None:
        """Plain text has no reference (C26)."""
        assert compiler.compile("memory.history input").references == ()

    def test_reference_types(self, compiler: Engine) -> None:
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
        positions = [
            (reference.line, reference.column) for reference in compiler.compile(source).references
        ]
        assert positions == [(2, 3 + len(self.reference_start)), (3, 1 + len(self.reference_start))]


METHODS = ["items", "get", "keys", "pop", "copy", "_x", "__class__", "__len__", "__init__"]
"""Keys that are names of Python, too."""


class NameTests(ContractFixtures):
    """C27: the way to a value."""

    def test_path(self, compiler: Engine) -> None:
        """A path leads through mappings and lists (C27)."""
        chat: dict[str, Any] = {"history": [{"content": "a"}, {"content": ["b", "c"]}]}
        assert self.shown(compiler, "memory.history.0.content", memory=chat) == "a"
        assert self.shown(compiler, "memory.history.1.content.1", memory=chat) == "c"
        assert self.shown(compiler, "input.history.0.content", input=chat) == "a"
        assert self.shown(compiler, "node.history.0.content", node=chat) == "a"

    def test_root(self, compiler: Engine) -> None:
        """A name without a path is the whole value (C27)."""
        assert self.shown(compiler, "node", node="text") == "text"
        assert self.shown(compiler, "node", node={"a": 1}) == '{"a":1}'
        assert self.shown(compiler, "input", input={"a": 1}) == '{"a":1}'
        assert self.shown(compiler, "memory", memory={"a": 1}) == '{"a":1}'

    @pytest.mark.parametrize("key", METHODS)
    def test_key_named_like_a_method(self, compiler: Engine, key: str) -> None:
        """A key is found even if it is the name of a method (C27)."""
        holder = {key: "value"}
        assert self.shown(compiler, f"memory.{key}", memory=holder) == "value"
        assert self.shown(compiler, f"input.{key}", input=holder) == "value"
        assert self.shown(compiler, f"node.{key}", node=holder) == "value"
        assert self.shown(compiler, f"memory.a.{key}", memory={"a": holder}) == "value"

    @pytest.mark.parametrize("key", [*METHODS, "append", "upper", "format", "real"])
    def test_no_attribute(self, compiler: Engine, key: str) -> None:
        """Methods and attributes are not reachable: such a key is missing (C27)."""
        values: list[Any] = [{}, {"other": 1}, [], ["a"], "text", 1, 1.5, True, None]
        for value in values:
            assert self.shown(compiler, f"memory.a.{key}", memory={"a": value}) == ""
        assert self.shown(compiler, f"memory.{key}") == ""

    def test_digits(self, compiler: Engine) -> None:
        """A number is an index of a list, and a key of a mapping (C27)."""
        assert self.shown(compiler, "input.a.0", input={"a": ["first"]}) == "first"
        assert self.shown(compiler, "input.a.0", input={"a": ("first",)}) == "first"
        assert self.shown(compiler, "input.a.2024", input={"a": {"2024": "year"}}) == "year"

    def test_index_of_other_values(self, compiler: Engine) -> None:
        """Text has no characters by index, and a list has no index beyond its end (C27)."""
        values: list[Any] = ["text", 10, None, [], {}, {"1": "a"}]
        for value in values:
            assert self.shown(compiler, "memory.a.0", memory={"a": value}) == ""
        assert self.shown(compiler, "memory.a.2", memory={"a": [1, 2]}) == ""

    def test_case(self, compiler: Engine) -> None:
        """Names are case-sensitive (C27)."""
        assert self.shown(compiler, "memory.A", memory={"a": 1}) == ""
        assert self.shown(compiler, "memory.a_b", memory={"ab": 1, "a-b": 1}) == ""

    @pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType])
    def test_any_mapping(self, compiler: Engine, kind: Any) -> None:
        """Any mapping has keys (C27)."""
        template = compiler.compile(f"{self.at('input.a.b')}{self.at('memory.a')}{self.at('n.a')}")
        namespace = {"input": kind({"a": kind({"b": 1})}), "memory": kind({"a": 2}), "n": {"a": 3}}
        assert template.render(kind(namespace)) == "123"
        assert self.shown(compiler, "input", input=kind({"a": kind({"b": 1})})) == '{"a":{"b":1}}'


class MissingValueTests(ContractFixtures):
    """C26: names without a value."""

    @pytest.mark.parametrize("name", ["memory.a", "memory.b.c", "memory.b.0.c", "memory.d.e"])
    def test_missing_in_memory(self, compiler: Engine, name: str) -> None:
        """A value that is missing in memory is empty text, at any depth (C26)."""
        assert self.shown(compiler, name, memory={"b": {}, "d": None}) == ""

    def test_falsy_values(self, compiler: Engine) -> None:
        """Values that are empty, zero, false or null are not missing (C26)."""
        falsy: list[tuple[Any, str]] = [(0, "0"), (False, "false"), (None, "null"), ([], "[]")]
        for value, text in [*falsy, ("", ""), ({}, "{}"), (0.0, "0.0")]:
            assert self.shown(compiler, "memory.a", memory={"a": value}) == text
            assert self.shown(compiler, "input.a", input={"a": value}) == text
            assert self.shown(compiler, "node", node=value) == text

    def test_missing_input(self, compiler: Engine) -> None:
        """A missing input is an error with position, name and suggestion (C26)."""
        error = self.error(compiler, "input.messages", input={"message": "canary", "user": 1})
        assert (error.name, error.nearest) == ("input.messages", "input.message")

    def test_missing_key(self, compiler: Engine) -> None:
        """The error names the path up to the missing key (C26)."""
        error = self.error(compiler, "input.user.names.first", input={"user": {"name": "canary"}})
        assert (error.name, error.nearest) == ("input.user.names", "input.user.name")
        error = self.error(compiler, "input.user.3", input={"user": ["canary"]})
        assert (error.name, error.nearest) == ("input.user.3", None)

    def test_missing_node(self, compiler: Engine) -> None:
        """A missing node, or a missing key of its output, is an error with position (C26)."""
        error = self.error(compiler, "summarizer", summarize="canary")
        assert (error.name, error.nearest) == ("summarizer", "summarize")
        error = self.error(compiler, "node.txt", node={"text": "canary"})
        assert (error.name, error.nearest) == ("node.txt", "node.text")

    @pytest.mark.parametrize("value", ["canary", 1, None, ["canary"]], ids=ascii)
    def test_key_of_a_scalar(self, compiler: Engine, value: object) -> None:
        """Text, numbers and null have no children, nor a list by key (C26)."""
        error = self.error(compiler, "input.a.key", input={"a": value})
        assert (error.name, error.nearest) == ("input.a.key", None)

    def test_no_suggestion(self, compiler: Engine) -> None:
        """Nothing is suggested if no name is near; a common root does not count (C26)."""
        error = self.error(compiler, "input.a", input={"b": "canary", "xyz": 1})
        assert error.nearest is None

    def error(self, compiler: Engine, name: str, **namespace: Any) -> TemplateError:
        """Return the error for a name, which is in line 2."""
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
