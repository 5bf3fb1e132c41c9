"""The text form of values, wherever Jinja would use Python's ``str``."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from jinja2 import ChainableUndefined, Undefined
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import LoopContext

from fibonacci.plugin import render_value

MAX_LENGTH: Final = 4 * 1024 * 1024
"""Characters that a rendered text may have. Long chats have some hundred thousand."""


class RefusedError(TemplateRuntimeError):
    """Raised for what templates must not do; the message quotes no value."""


class MissingMemoryValue(ChainableUndefined):
    """A value that memory does not have: empty text, and so is everything below it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MissingMemoryValue) or other == ""

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash("")


def to_text(value: Any) -> str:
    """Return text unchanged, and every other value as compact JSON."""
    if type(value) is str:
        return value
    if isinstance(value, Undefined):
        return str(value)  # raises, unless the value is missing in memory
    try:
        return render_value(value)
    except TypeError:
        return render_value(to_json_value(value))


def to_json_value(value: Any) -> Any:
    """Return a value that JSON can represent: the lazy iterators of filters become lists."""
    if isinstance(value, Undefined):
        return str(value)
    if isinstance(value, Mapping):
        return {key: to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Iterator) and not isinstance(value, LoopContext):
        return [to_json_value(item) for item in islice(value, MAX_LENGTH)]
    return value


def join_texts(parts: Any) -> str:
    """Return the parts as one text. Raises RefusedError if it exceeds the limit."""
    texts: list[str] = []
    size = 0
    for part in parts:
        texts.append(part)
        size += len(part)
        if size > MAX_LENGTH:
            raise RefusedError(f"the text exceeds the limit of {MAX_LENGTH:,} characters")
    return "".join(texts)


def concatenate(parts: Any) -> str:
    """Return the result of Jinja's ``~``: the texts of all parts joined."""
    return join_texts(map(to_text, parts))
