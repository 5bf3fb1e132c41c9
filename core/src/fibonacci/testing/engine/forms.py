"""Forms: text as it is, the rest as compact JSON."""

import math
from datetime import date
from enum import StrEnum
from typing import Any

import pytest

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine
from fibonacci.testing.engine.bench import Bench


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
"""Values, and what stands for them."""


class Forms(Bench):
    """C27: what values look like."""

    @pytest.mark.parametrize(("value", "text"), WRITTEN, ids=ascii)
    def test_form(self, compiler: Engine, value: object, text: str) -> None:
        """Text goes in as it is, all else as compact JSON that keeps every character (C27)."""
        assert self.shown(compiler, "input.x", input={"x": value}) == text
        assert self.shown(compiler, "memory.x.y", memory={"x": {"y": value}}) == text
        assert self.shown(compiler, "node", node=value) == text

    @pytest.mark.parametrize(
        "value", [{1}, b"x", {1: object}, math.nan, math.inf, date(2025, 1, 23)], ids=repr
    )
    def test_no_form(self, compiler: Engine, value: object) -> None:
        """What JSON has no form for is an error that says where, and never Python's form (C27)."""
        template = compiler.compile(f"\n{self.at('node')}")
        with pytest.raises(TemplateError) as caught:
            template.render({"input": {}, "memory": {}, "node": value})
        assert (caught.value.line, caught.value.column) == (2, 1 + len(self.opening))

    def test_too_deep(self, compiler: Engine) -> None:
        """A value that holds itself is such an error, too (C27)."""
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(TemplateError):
            self.shown(compiler, "node", node=loop)
