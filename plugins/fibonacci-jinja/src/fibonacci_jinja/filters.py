"""The filters: those of Jinja that make sense in a prompt, and custom ones."""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from itertools import chain
from typing import Any, Final

import attrs
from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.filters import make_attrgetter
from markupsafe import escape as escaped

from fibonacci.plugin import render_value
from fibonacci_jinja.chat import chat
from fibonacci_jinja.text import (
    MAX_LENGTH,
    MissingMemoryValue,
    RefusedError,
    join_texts,
    to_json_value,
    to_text,
)

Filter = Callable[..., Any]


@attrs.frozen(kw_only=True)
class Filters:
    """The filters that templates can use."""

    stock: tuple[str, ...]
    """Names of Jinja's own filters."""
    custom: Mapping[str, Filter]


@pass_environment
def last(environment: Environment, values: Any, n: int | None = None) -> Any:
    """Return the last item; or, as a list, the last ``n``."""
    if n is None:
        items = list(values)
        return items[-1] if items else _no_item(environment, values)
    if not isinstance(n, int) or n < 0:
        raise RefusedError("last takes a number of items, 0 or more")
    return list(values)[-n:] if n else []


@pass_environment
def first(environment: Environment, values: Any) -> Any:
    """Return the first item."""
    for value in values:
        return value
    return _no_item(environment, values)


@pass_environment
def join(environment: Environment, values: Any, d: Any = "", attribute: Any = None) -> str:
    """Return the texts of all values, joined by ``d``."""
    if attribute is not None:
        values = map(make_attrgetter(environment, attribute), values)
    separator = to_text(d)
    parts = chain.from_iterable((separator, to_text(value)) for value in values)
    next(parts, None)
    return join_texts(parts)


def replace(value: str, old: Any, new: Any, count: int | None = None) -> str:
    """Return the text with ``new`` instead of each ``old``, or of the first ``count``."""
    times, replacement = value.count(to_text(old)), to_text(new)
    if times * len(replacement) > MAX_LENGTH:
        raise RefusedError(f"the replaced text would be longer than {MAX_LENGTH:,}")
    return value.replace(to_text(old), replacement, -1 if count is None else count)


def items(values: Any) -> Any:
    """Return the pairs of a mapping."""
    return [] if isinstance(values, MissingMemoryValue) else values.items()


def tojson(value: Any, indent: int | None = None) -> str:
    """Return JSON, with only the escapes that JSON requires."""
    if indent is None:
        return render_value([to_json_value(value)])[1:-1]
    return json.dumps(to_json_value(value), ensure_ascii=False, indent=indent, allow_nan=False)


def escape(value: str) -> str:
    """Return text that is safe within XML and HTML."""
    return str(escaped(value))


def text_filter(stock: Filter) -> Filter:
    """Return a filter that converts its value to text: Jinja would use Python's ``str``."""
    index = 1 if hasattr(stock, "jinja_pass_arg") else 0

    @wraps(stock)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        result = stock(*args[:index], to_text(args[index]), *args[index + 1 :], **kwargs)
        return join_texts((result,)) if isinstance(result, str) else result

    return filtered


def number_filter(stock: Filter) -> Filter:
    """Return a filter that converts to a number, also a value missing in memory."""

    @wraps(stock)
    def filtered(value: Any, *args: Any, **kwargs: Any) -> Any:
        return stock("" if isinstance(value, MissingMemoryValue) else value, *args, **kwargs)

    return filtered


def _no_item(environment: Environment, values: Any) -> Any:
    return values if isinstance(values, MissingMemoryValue) else environment.undefined()


_STOCK: Final = (
    *("abs", "batch", "count", "d", "default", "dictsort", "groupby", "length", "list", "map"),
    *("max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr", "slice"),
    *("sort", "sum", "unique", "urlencode"),
)
_TEXT_FILTERS: Final = (
    *("capitalize", "indent", "lower", "striptags", "title", "trim", "truncate", "upper"),
    *("wordcount", "wordwrap"),
)

FILTERS: Final = Filters(
    stock=_STOCK,
    custom={
        **{name: text_filter(JINJA_FILTERS[name]) for name in _TEXT_FILTERS},
        **{name: number_filter(JINJA_FILTERS[name]) for name in ("float", "int")},
        "chat": chat,
        "e": text_filter(escape),
        "escape": text_filter(escape),
        "first": first,
        "items": items,
        "join": join,
        "last": last,
        "replace": text_filter(replace),
        "string": to_text,
        "tojson": tojson,
    },
)
