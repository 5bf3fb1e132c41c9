"""Errors of templates, with line and column."""

import pytest

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine
from fibonacci.testing.engine.fixtures import ContractFixtures


class ErrorTests(ContractFixtures):
    """C27: what is no template."""

    def test_invalid_template(self, compiler: Engine) -> None:
        """An invalid template is an error with line and column when it is compiled (C27)."""
        for text in self.invalid_templates:
            with pytest.raises(TemplateError) as caught:
                compiler.compile(f"fine\nfine {text} fine")
            self.check(caught.value, line=2)

    def test_unclosed_reference(self, compiler: Engine) -> None:
        """A reference that is not closed is an error with line and column (C27)."""
        with pytest.raises(TemplateError) as caught:
            compiler.compile(f"fine\n\n{self.reference_start}input.x")
        self.check(caught.value, line=3)

    def test_compile_after_error(self, compiler: Engine) -> None:
        """An engine that refused a text compiles the next one (C27)."""
        with pytest.raises(TemplateError):
            compiler.compile(self.invalid_templates[0])
        assert self.shown(compiler, "input.x", input={"x": 1}) == "1"

    def test_render_after_error(self, compiler: Engine) -> None:
        """A template that missed a value renders the next time (C26)."""
        template = compiler.compile(f"a{self.at('input.x')}")
        with pytest.raises(TemplateError):
            template.render({"input": {}, "memory": {}})
        assert template.render({"input": {"x": 1}, "memory": {}}) == "a1"

    def check(self, error: TemplateError, line: int) -> None:
        """Check the error's line and column."""
        assert error.line == line
        assert type(error.column) is int
        assert error.column >= 1
        assert f"line {line}, column {error.column}" in str(error)
