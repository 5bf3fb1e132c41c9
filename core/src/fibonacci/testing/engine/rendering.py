"""Rendering: one pass, JSON for values that are no text, any text as it is."""

import math
from datetime import date
from enum import StrEnum
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine, render_value
from fibonacci.testing.engine.fixtures import ContractFixtures

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


class SinglePassTests(ContractFixtures):
    """C27: what a template is, and what it is not."""

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_text(self, compiler: Engine, text: str) -> None:
        """Text is rendered as it is, with every space and newline (C27)."""
        assert compiler.compile(text).render({"input": {}, "memory": {}}) == text

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_text_around_a_value(self, compiler: Engine, text: str) -> None:
        """Text beside a value is rendered as it is (C27)."""
        template = compiler.compile(f"{text}{self.at('input.x')}{text}{self.at('input.x')}{text}")
        rendered = template.render({"input": {"x": "-"}, "memory": {}})
        assert rendered == f"{text}-{text}-{text}"

    def test_escapes(self, compiler: Engine) -> None:
        """Special characters can be escaped (C27)."""
        for source, text in self.escapes.items():
            template = compiler.compile(f"a{source}b")
            assert template.render({"input": {}, "memory": {}}) == f"a{text}b"
            assert template.references == ()

    @pytest.mark.parametrize("value", TEMPLATES)
    def test_value_is_no_template(self, compiler: Engine, value: str) -> None:
        """A value is never searched for templates (C27)."""
        filled = {"input": {"x": value, "secret": "shown"}, "memory": {"secret": "shown"}}
        assert self.shown(compiler, "input.x", **filled) == value
        assert self.shown(compiler, "node", node=value) == value
        assert self.shown(compiler, "memory.x", memory={"x": value, "secret": "shown"}) == value

    def test_joined_values_are_no_template(self, compiler: Engine) -> None:
        """Adjacent values make no template, alone or with the text around them (C27)."""
        open_, close = self.at("input.open"), self.at("input.close")
        template = compiler.compile(f"{open_} input.x {close}{open_}{close}")
        start, end = self.reference_start, self.reference_end
        values = {"open": start, "close": end, "x": "not rendered"}
        rendered = template.render({"input": values, "memory": {}})
        assert rendered == f"{start} input.x {end}{start}{end}"

    def test_long_value(self, compiler: Engine) -> None:
        """A text of a million characters is rendered whole (C27)."""
        long = "0123456789" * 100_000
        assert self.shown(compiler, "memory.long", memory={"long": long}) == long


class Colour(StrEnum):
    """Text with a face of its own."""

    RED = "red"


WRITTEN: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-1, "-1"),
    (1.5, "1.5"),
    (2**63, "9223372036854775808"),
    (2**64, "18446744073709551616"),
    (-(2**70), "-1180591620717411303424"),
    ([], "[]"),
    ({}, "{}"),
    ([None, True, 1, 1.5, "a"], '[null,true,1,1.5,"a"]'),
    ({"b": 1, "a": {"c": []}}, '{"b":1,"a":{"c":[]}}'),
    ((1, (2,)), "[1,[2]]"),
    ([2**70, "é"], '[1180591620717411303424,"é"]'),
    ({"é": "漢字 😀"}, '{"é":"漢字 😀"}'),
    (["</b> & '"], '["</b> & \'"]'),
    (['"', "\\", "\n", "\x00"], r'["\"","\\","\n","\u0000"]'),
    ([2**70, "\u2028"], '[1180591620717411303424,"\u2028"]'),
    (Colour.RED, "red"),
    ([Colour.RED], '["red"]'),
    ("é 'quoted' \"text\"\n", "é 'quoted' \"text\"\n"),
]
"""Values, and their rendered text."""


class ValueFormTests(ContractFixtures):
    """C27: what values look like."""

    @pytest.mark.parametrize(("value", "text"), WRITTEN, ids=ascii)
    def test_value_form(self, compiler: Engine, value: object, text: str) -> None:
        """Text is rendered as it is, others as JSON with non-ASCII characters as they are (C27)."""
        assert self.shown(compiler, "input.x", input={"x": value}) == text
        assert self.shown(compiler, "memory.x.y", memory={"x": {"y": value}}) == text
        assert self.shown(compiler, "node", node=value) == text

    @pytest.mark.parametrize(
        "value", [{1}, b"x", {1: object}, math.nan, math.inf, date(2025, 1, 23)], ids=repr
    )
    def test_value_without_json_form(self, compiler: Engine, value: object) -> None:
        """A value that JSON cannot represent is an error with line and column (C27)."""
        self._check_no_form(compiler, value)

    def test_recursive_value(self, compiler: Engine) -> None:
        """A value that contains itself is an error with line and column (C27)."""
        loop: list[Any] = []
        loop.append(loop)
        self._check_no_form(compiler, loop)

    def _check_no_form(self, compiler: Engine, value: object) -> None:
        template = compiler.compile(f"\n{self.at('node')}")
        with pytest.raises(TemplateError) as caught:
            template.render({"input": {}, "memory": {}, "node": value})
        assert (caught.value.line, caught.value.column) == (2, 1 + len(self.reference_start))


_TEXT: Final = some.text(some.characters(exclude_categories=["Cs"]))
_NUMBER: Final = some.integers() | some.floats(allow_nan=False, allow_infinity=False)
_VALUE: Final = some.recursive(
    some.none() | some.booleans() | _NUMBER | _TEXT,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=10,
)
_many: Final = settings(deadline=None, database=None)


class AnyTextTests(ContractFixtures):
    """C27, of everything. Inner functions, as each subclass is a test of its own to hypothesis."""

    def test_any_text(self, compiler: Engine) -> None:
        """Any text without a special character is a template of itself (C27)."""

        @_many
        @given(text=self._meaningless())
        def check(text: str) -> None:
            template = compiler.compile(text)
            assert template.render({"input": {}, "memory": {}}) == text
            assert template.references == ()

        check()

    def test_any_text_as_value(self, compiler: Engine) -> None:
        """Any text is rendered as it is, in every position (C27)."""

        @_many
        @given(value=_TEXT, before=self._meaningless(), behind=self._meaningless())
        def check(value: str, before: str, behind: str) -> None:
            source = f"{before}{self.at('input.x')}{behind}{self.at('memory.y')}"
            rendered = compiler.compile(source).render(
                {"input": {"x": value}, "memory": {"y": value}}
            )
            assert rendered == f"{before}{value}{behind}{value}"

        check()

    def test_any_value(self, compiler: Engine) -> None:
        """Any value that JSON can represent is rendered as text or compact JSON (C27)."""

        @_many
        @given(value=_VALUE)
        def check(value: Any) -> None:
            assert self.shown(compiler, "node", node=value) == render_value(value)
            assert self.shown(compiler, "memory.x.0", memory={"x": [value]}) == render_value(value)

        check()

    def _meaningless(self) -> some.SearchStrategy[str]:
        special = dict.fromkeys(map(ord, self.special_characters))
        return _TEXT.map(lambda text: text.translate(special))
