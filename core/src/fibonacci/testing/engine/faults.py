"""Faults: a text that is no template is refused when it is compiled."""

import pytest

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine
from fibonacci.testing.engine.bench import Bench


class Faults(Bench):
    """C27: what is no template."""

    def test_malformed(self, compiler: Engine) -> None:
        """What can't be read is an error with line and column, and is told when compiled (C27)."""
        for text in self.malformed:
            with pytest.raises(TemplateError) as caught:
                compiler.compile(f"fine\nfine {text} fine")
            self.check(caught.value, line=2)

    def test_never_closed(self, compiler: Engine) -> None:
        """A name whose end is missing is such an error, and no text (C27)."""
        with pytest.raises(TemplateError) as caught:
            compiler.compile(f"fine\n\n{self.opening}input.x")
        self.check(caught.value, line=3)

    def test_good_after_bad(self, compiler: Engine) -> None:
        """An engine that refused a text compiles the next one (C27)."""
        with pytest.raises(TemplateError):
            compiler.compile(self.malformed[0])
        assert self.shown(compiler, "input.x", input={"x": 1}) == "1"

    def test_good_after_missing(self, compiler: Engine) -> None:
        """A template that missed a value renders the next time (C26)."""
        template = compiler.compile(f"a{self.at('input.x')}")
        with pytest.raises(TemplateError):
            template.render({"input": {}, "memory": {}})
        assert template.render({"input": {"x": 1}, "memory": {}}) == "a1"

    def check(self, fault: TemplateError, line: int) -> None:
        """Compare the place with where the fault is."""
        assert fault.line == line
        assert type(fault.column) is int
        assert fault.column >= 1
        assert f"line {line}, column {fault.column}" in str(fault)
