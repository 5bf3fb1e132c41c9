"""What a value looks like in the text, wherever Jinja would write Python's own form of it."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from jinja2 import ChainableUndefined, Undefined
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import LoopContext

from fibonacci.plugin import render_value

LIMIT: Final = 4 * 1024 * 1024
"""Characters that a rendered text may have. Long chats have some hundred thousand."""


class RefusedError(TemplateRuntimeError):
    """Something that templates may not do; the message quotes no value."""


class Blank(ChainableUndefined):
    """What is missing in memory: empty text, and so is everything below it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blank) or other == ""

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash("")


def text(value: Any) -> str:
    """Return text as it is, and all else as compact JSON."""
    if type(value) is str:
        return value
    if isinstance(value, Undefined):
        return str(value)  # raises, unless it is blank
    try:
        return render_value(value)
    except TypeError:
        return render_value(plain(value))


def plain(value: Any) -> Any:
    """Return a value that JSON has a form for: what filters make lazily becomes a list."""
    if isinstance(value, Undefined):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | Iterator) and not isinstance(value, LoopContext):
        return [plain(one) for one in islice(value, LIMIT)]
    return value


def joined(parts: Any) -> str:
    """Return the parts as one text. Raises RefusedError where it is over the limit."""
    found: list[str] = []
    size = 0
    for part in parts:
        found.append(part)
        size += len(part)
        if size > LIMIT:
            raise RefusedError(f"the text is over the limit of {LIMIT:,} characters")
    return "".join(found)


def concatenated(parts: Any) -> str:
    """Return what ``~`` does: the texts of all parts, one behind the other."""
    return joined(map(text, parts))
