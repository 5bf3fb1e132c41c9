"""Columns: Jinja counts lines only, so each of its line numbers is made to carry one."""

import re
from collections.abc import Iterator
from typing import Final

from jinja2 import TemplateSyntaxError
from jinja2.lexer import Lexer

_NEWLINE: Final = re.compile(r"\r\n|\r|\n")


class Line(int):
    """A line number that knows the column too. Jinja hands it on, from tokens to nodes."""

    column = 1

    @classmethod
    def at(cls, line: int, column: int) -> "Line":
        """Return a line number with a column."""
        place = cls(line)
        place.column = column
        return place


def column(line: int) -> int:
    """Return the column of a line number; 1 where Jinja made the number itself."""
    return line.column if isinstance(line, Line) else 1


def normalized(source: str) -> str:
    """Return the text as the lexer counts in it, whatever its newlines are."""
    return _NEWLINE.sub("\n", source)


class PlacedLexer(Lexer):
    """Jinja's lexer, whose tokens have columns."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        text, end = normalized(source), 0
        line, begin = 1, 0
        try:
            for _, token, value in super().tokeniter(source, name, filename, state):
                # Not always at `end`: blanks that a tag strips belong to no token.
                start = text.index(value, end)
                line += text.count("\n", end, start)
                begin = text.rfind("\n", end, start) + 1 or begin
                yield Line.at(line, start - begin + 1), token, value
                end = start + len(value)
                line += value.count("\n")
                begin = text.rfind("\n", start, end) + 1 or begin
        except TemplateSyntaxError as fault:
            fault.lineno = Line.at(line, end - begin + 1)
            raise
