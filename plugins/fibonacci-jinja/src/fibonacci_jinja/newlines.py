"""Newlines: they come out as they stand in the source, where Jinja would make them all alike."""

import re
from typing import Final, Literal

import attrs
from jinja2 import nodes

Style = Literal["\n", "\r\n"]

STYLES: Final[tuple[Style, ...]] = ("\n", "\r\n")

_BLANKS: Final = "\x1c\x1d\x1e\x1f\x85\u2028\u2029\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
"""Characters that are blanks to Jinja within tags, and no newlines anywhere."""


@attrs.frozen
class Newlines:
    """The newlines of one source."""

    style: Style
    mark: str | None = None
    """What stands for each carriage return while Jinja works, where the source mixes styles."""

    @classmethod
    def of(cls, source: str) -> "Newlines":
        """Look at a source."""
        if "\r" not in source:
            return cls("\n")
        if not re.search(r"\r(?!\n)|(?<!\r)\n", source):
            return cls("\r\n")
        return cls("\n", next(blank for blank in _BLANKS if blank not in source))

    def hide(self, source: str) -> str:
        """Return the source as Jinja is to see it."""
        return source.replace("\r", self.mark) if self.mark else source

    def restore(self, tree: nodes.Template) -> None:
        """Put back into a tree what was hidden."""
        if self.mark:
            for data in tree.find_all(nodes.TemplateData):
                data.data = data.data.replace(self.mark, "\r")
            for const in tree.find_all(nodes.Const):
                if isinstance(const.value, str):
                    const.value = const.value.replace(self.mark, "\r")
