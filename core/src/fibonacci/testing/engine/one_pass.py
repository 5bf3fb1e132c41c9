"""One pass: text stays as it is, and so does what stands in values."""

import pytest

from fibonacci.plugin import Engine
from fibonacci.testing.engine.bench import Bench

TEXTS = [
    "",
    " ",
    "\n",
    "\n\n  a\n",
    "a\r\nb\r\n",
    "a\r\nb\nc\rd",
    "\ttab ",
    "a\x00b",
    "e\u0301 é 漢字 😀",
    "\u2028\u2029\ufeff",
    "</b> & ' \" \\ \\n %s %d %(x)s $x 100 %",
]
"""Texts without a meaning."""

TEMPLATES = [
    "{{ input.secret }}",
    "{{memory.secret}} {{ 7 * 7 }} {{{input.secret}}}",
    "{% for x in memory %}{{ x }}{% endfor %}{% raw %}",
    "{# comment #}",
    "${secret} $secret ${{ secret }}",
    "#{secret} #secret",
    "<% secret %> <%= secret %>",
    "{0} {secret} {input[secret]} %s %(secret)s",
    "{{",
    "}}",
    "{",
    "\\{{ input.secret }}",
]
"""Texts that are templates somewhere."""


class OnePass(Bench):
    """C27: what a template is, and what it is not."""

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_text(self, compiler: Engine, text: str) -> None:
        """Text comes out as it is, with every blank and newline (C27)."""
        assert compiler.compile(text).render({"input": {}, "memory": {}}) == text

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_text_around_a_value(self, compiler: Engine, text: str) -> None:
        """Text beside a value comes out as it is, too (C27)."""
        template = compiler.compile(f"{text}{self.at('input.x')}{text}{self.at('input.x')}{text}")
        rendered = template.render({"input": {"x": "-"}, "memory": {}})
        assert rendered == f"{text}-{text}-{text}"

    def test_literals(self, compiler: Engine) -> None:
        """What has a meaning can be said as text (C27)."""
        for source, text in self.literals.items():
            template = compiler.compile(f"a{source}b")
            assert template.render({"input": {}, "memory": {}}) == f"a{text}b"
            assert template.references == ()

    @pytest.mark.parametrize("value", TEMPLATES)
    def test_value_is_no_template(self, compiler: Engine, value: str) -> None:
        """What stands in a value is never looked through for templates (C27)."""
        filled = {"input": {"x": value, "secret": "told"}, "memory": {"secret": "told"}}
        assert self.shown(compiler, "input.x", **filled) == value
        assert self.shown(compiler, "node", node=value) == value
        assert self.shown(compiler, "memory.x", memory={"x": value, "secret": "told"}) == value

    def test_values_that_make_a_template(self, compiler: Engine) -> None:
        """Values side by side make no template, nor with the text around them (C27)."""
        open_, close = self.at("input.open"), self.at("input.close")
        template = compiler.compile(f"{open_} input.x {close}{open_}{close}")
        given = {"open": self.opening, "close": self.closing, "x": "told"}
        rendered = template.render({"input": given, "memory": {}})
        expected = f"{self.opening} input.x {self.closing}{self.opening}{self.closing}"
        assert rendered == expected

    def test_long_value(self, compiler: Engine) -> None:
        """A text of a million characters arrives whole (C27)."""
        long = "0123456789" * 100_000
        assert self.shown(compiler, "memory.long", memory={"long": long}) == long
