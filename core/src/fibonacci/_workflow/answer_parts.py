"""The JSON values that stand in a text: in fenced blocks, and in brackets between words.

The text is looked through once, from its start to its end: the time that this takes grows with
the text's size alone, whatever is in it.
"""

import re
from typing import Any, Final

from fibonacci._memory import codec, strict_json
from fibonacci.errors import FibonacciError
from fibonacci.plugin.address import Address, Space

MOST: Final = 1_000
"""Blocks and brackets that are looked at: a text that has more of them is no answer in JSON."""

NO_VALUE: Final = object()

_MARK: Final = re.compile(r"`{3,}(?P<json>[ \t]*json\w*)?|[\[{]", re.IGNORECASE)
_CLOSE: Final = re.compile(r"\s*`{3,}")
_BLANKS: Final = re.compile(r"\s*")
_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A bracket; or a string, in which brackets are none."""

_DECODER: Final = strict_json.make_decoder(strict=False)
_ADDRESS: Final = Address(Space("", "global", ""), "answer")


def value_of(text: str) -> Any:
    """Return the value that the whole text is, or NO_VALUE."""
    value, end = _value_at(text, 0)
    return value if _BLANKS.fullmatch(text, end) else NO_VALUE


def _value_at(text: str, start: int) -> tuple[Any, int]:
    """Return the value that begins there, and where it ends; what memory could not keep is none."""
    begin = _BLANKS.match(text, start)
    assert begin is not None
    try:
        value, end = _DECODER.raw_decode(text, begin.end())
        codec.encode(value, _ADDRESS)  # so it is neither too deep nor too large
    except (ValueError, RecursionError, FibonacciError):
        return NO_VALUE, start
    return value, end


class Parts:
    """The values of one text, by where they stand."""

    def __init__(self, text: str) -> None:
        """Look the text through."""
        self.fenced: list[Any] = []
        """The values that fenced blocks are."""
        self.objects: list[Any] = []
        """Objects between words, and lists that hold one."""
        self.lists: list[Any] = []
        """Other lists between words, where nothing else stands in brackets."""
        self._text = text
        self._quiet = 0
        """Up to here brackets count for nothing: they stand in others that are no JSON."""
        self._broken = False
        self._void = False
        """Nothing between words counts: what was meant is cut off, or a faulty block."""
        self._look()

    def _look(self) -> None:
        at, left = 0, MOST
        while left and (mark := self._next(at)) is not None:
            left -= 1
            at = self._bracket(mark.start()) if mark[0] in "[{" else self._fence(mark)
        if not left:
            self.fenced = []
        if self._void or not left:
            self.objects = []
        if self._void or not left or self._broken or self.objects:
            self.lists = []

    def _next(self, at: int) -> "re.Match[str] | None":
        if at < self._quiet:
            ticks = self._text.find("```", at, self._quiet)
            at = self._quiet if ticks < 0 else ticks
        return _MARK.search(self._text, at)

    def _fence(self, mark: "re.Match[str]") -> int:
        """Take what stands in a fenced block; return where to go on."""
        value, end = _value_at(self._text, mark.end())
        close = _CLOSE.match(self._text, end)
        if value is not NO_VALUE and close is not None:  # its strings may hold ticks, too
            self.fenced.append(value)
            return close.end()
        ticks = self._text.find("```", mark.end())
        if ticks < 0:
            return mark.end()  # it has no end: what stands in it is looked at as between words
        self._void = self._void or mark["json"] is not None
        return ticks + 3

    def _bracket(self, start: int) -> int:
        """Take what stands from this bracket to the one that closes it; return where to go on."""
        end = self._closed(start)
        if end is None:
            self._void, self._quiet = True, len(self._text)
            return start + 1
        value = value_of(self._text[start:end])
        if value is NO_VALUE:
            self._broken, self._quiet = True, end
            return start + 1
        (self.objects if _holds_object(value) else self.lists).append(value)
        return end

    def _closed(self, start: int) -> int | None:
        depth = 0
        for token in _BRACKET.finditer(self._text, start):
            if token[0] in "[{":
                depth += 1
            elif token[0] in "]}":
                depth -= 1
            if not depth:
                return token.end()
            if depth > strict_json.MAX_DEPTH + 1:
                return None
        return None


def _holds_object(value: Any) -> bool:
    return isinstance(value, dict) or any(isinstance(one, dict) for one in value)
