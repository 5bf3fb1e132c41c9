"""What Jinja's lexer drops: columns, and the newlines of the source.

Jinja counts lines only, so its line numbers are replaced by numbers that carry a column. It makes
all newlines alike, so sources with mixed ones are rewritten before and restored after parsing.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

import attrs
from jinja2 import TemplateSyntaxError, nodes
from jinja2.lexer import Lexer

_NEWLINE: Final = re.compile(r"\r\n|\r|\n")


class PositionedLine(int):
    """A line number with a column. Jinja passes it on, from tokens to nodes."""

    column = 1

    @classmethod
    def at(cls, line: int, column: int) -> "PositionedLine":
        """Return a line number with a column."""
        positioned = cls(line)
        positioned.column = column
        return positioned


def column_of(line: int) -> int:
    """Return the column of a line number; 1 if Jinja created the number itself."""
    return line.column if isinstance(line, PositionedLine) else 1


def normalize_newlines(source: str) -> str:
    r"""Return the source with every newline as ``\n``, as the lexer counts lines."""
    return _NEWLINE.sub("\n", source)


class PositionLexer(Lexer):
    """Jinja's lexer, whose tokens have columns."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        text, end = normalize_newlines(source), 0
        line, line_start = 1, 0
        try:
            for _, token, value in super().tokeniter(source, name, filename, state):
                # Not always at `end`: whitespace that a tag strips belongs to no token.
                start = text.index(value, end)
                line += text.count("\n", end, start)
                line_start = text.rfind("\n", end, start) + 1 or line_start
                yield PositionedLine.at(line, start - line_start + 1), token, value
                end = start + len(value)
                line += value.count("\n")
                line_start = text.rfind("\n", start, end) + 1 or line_start
        except TemplateSyntaxError as error:
            error.lineno = PositionedLine.at(line, end - line_start + 1)
            raise


NewlineStyle = Literal["\n", "\r\n"]

NEWLINE_STYLES: Final[tuple[NewlineStyle, ...]] = ("\n", "\r\n")

_BLANKS: Final = "\x1c\x1d\x1e\x1f\x85\u2028\u2029\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
"""Characters that Jinja treats as whitespace within tags, and never as newlines."""


@attrs.frozen
class Newlines:
    """The newlines of one source."""

    style: NewlineStyle
    placeholder: str | None = None
    """Replaces each carriage return while Jinja works, if the source mixes styles."""

    @classmethod
    def of(cls, source: str) -> "Newlines":
        """Return the newlines of a source."""
        if "\r" not in source:
            return cls("\n")
        if not re.search(r"\r(?!\n)|(?<!\r)\n", source):
            return cls("\r\n")
        return cls("\n", next(blank for blank in _BLANKS if blank not in source))

    def hide(self, source: str) -> str:
        """Return the source for Jinja."""
        return source.replace("\r", self.placeholder) if self.placeholder else source

    def restore(self, tree: nodes.Template) -> None:
        """Put the carriage returns back into a parsed tree."""
        if self.placeholder:
            for data in tree.find_all(nodes.TemplateData):
                data.data = data.data.replace(self.placeholder, "\r")
            for const in tree.find_all(nodes.Const):
                if isinstance(const.value, str):
                    const.value = const.value.replace(self.placeholder, "\r")
