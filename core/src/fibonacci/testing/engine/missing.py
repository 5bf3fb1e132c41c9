"""What is missing: empty text in memory, and elsewhere an error that names it."""

from typing import Any

import pytest

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine
from fibonacci.testing.engine.bench import Bench


class Missing(Bench):
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
        fault = self.fault(compiler, "input.messages", input={"message": "canary", "user": 1})
        assert (fault.name, fault.nearest) == ("input.messages", "input.message")

    def test_deep_key(self, compiler: Engine) -> None:
        """The error names the path as far as the key that is missing (C26)."""
        fault = self.fault(compiler, "input.user.names.first", input={"user": {"name": "canary"}})
        assert (fault.name, fault.nearest) == ("input.user.names", "input.user.name")
        fault = self.fault(compiler, "input.user.3", input={"user": ["canary"]})
        assert (fault.name, fault.nearest) == ("input.user.3", None)

    def test_node(self, compiler: Engine) -> None:
        """A missing node is such an error, and so is what is missing in its output (C26)."""
        fault = self.fault(compiler, "summarizer", summarize="canary")
        assert (fault.name, fault.nearest) == ("summarizer", "summarize")
        fault = self.fault(compiler, "node.txt", node={"text": "canary"})
        assert (fault.name, fault.nearest) == ("node.txt", "node.text")

    @pytest.mark.parametrize("value", ["canary", 1, None, ["canary"]], ids=ascii)
    def test_below_what_holds_nothing(self, compiler: Engine, value: object) -> None:
        """There is nothing below text, a number, null, or by a key in a list (C26)."""
        fault = self.fault(compiler, "input.a.key", input={"a": value})
        assert (fault.name, fault.nearest) == ("input.a.key", None)

    def test_nothing_near(self, compiler: Engine) -> None:
        """Nothing is proposed where nothing is near: a shared root is not (C26)."""
        fault = self.fault(compiler, "input.a", input={"b": "canary", "xyz": 1})
        assert fault.nearest is None

    def fault(self, compiler: Engine, name: str, **namespace: Any) -> TemplateError:
        """Return the error for a name, which stands in line 2."""
        template = compiler.compile(f"text\n  {self.at(name)}")
        with pytest.raises(TemplateError) as caught:
            template.render({"input": {}, "memory": {}, **namespace})
        fault = caught.value
        assert (fault.line, fault.column) == (2, 3 + len(self.opening))
        assert repr(fault.name) in str(fault)
        assert fault.nearest is None or repr(fault.nearest) in str(fault)
        assert "line 2" in str(fault)
        assert "canary" not in str(fault)
        return fault
