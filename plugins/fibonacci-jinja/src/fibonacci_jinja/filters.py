"""The filters: those of Jinja that make sense in a prompt, and what differs or is new."""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from itertools import chain
from typing import Any, Final

import attrs
from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS as STOCK
from jinja2.filters import make_attrgetter
from markupsafe import escape as escaped

from fibonacci.plugin import render_value
from fibonacci_jinja.chat import chat
from fibonacci_jinja.text import LIMIT, Blank, RefusedError, joined, plain, text

Filter = Callable[..., Any]


@attrs.frozen(kw_only=True)
class Filters:
    """What templates can name behind ``|``."""

    kept: tuple[str, ...]
    """As they are in Jinja."""
    ours: Mapping[str, Filter]


@pass_environment
def last(environment: Environment, values: Any, n: int | None = None) -> Any:
    """Return the last item; or, as a list, the last ``n``."""
    if n is None:
        items = list(values)
        return items[-1] if items else _none(environment, values)
    if not isinstance(n, int) or n < 0:
        raise RefusedError("last takes a number of items from 0 on")
    return list(values)[-n:] if n else []


@pass_environment
def first(environment: Environment, values: Any) -> Any:
    """Return the first item."""
    for value in values:
        return value
    return _none(environment, values)


@pass_environment
def join(environment: Environment, values: Any, d: Any = "", attribute: Any = None) -> str:
    """Return the texts of all values in one, with ``d`` between them."""
    if attribute is not None:
        values = map(make_attrgetter(environment, attribute), values)
    between = text(d)
    parts = chain.from_iterable((between, text(value)) for value in values)
    next(parts, None)
    return joined(parts)


def replace(value: str, old: Any, new: Any, count: int | None = None) -> str:
    """Return the text with ``new`` in the place of each ``old``, or of the first ``count``."""
    times, written = value.count(text(old)), text(new)
    if times * len(written) > LIMIT:
        raise RefusedError(f"the replaced text would be longer than {LIMIT:,}")
    return value.replace(text(old), written, -1 if count is None else count)


def items(values: Any) -> Any:
    """Return the pairs of a mapping."""
    return [] if isinstance(values, Blank) else values.items()


def tojson(value: Any, indent: int | None = None) -> str:
    """Return JSON, with nothing escaped that JSON lets be."""
    if indent is None:
        return render_value([plain(value)])[1:-1]
    return json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False)


def escape(value: str) -> str:
    """Return text that is safe within XML and HTML."""
    return str(escaped(value))


def of_text(stock: Filter) -> Filter:
    """Return a filter that is given texts: Jinja would take Python's form of a list or a bool."""
    place = 1 if hasattr(stock, "jinja_pass_arg") else 0

    @wraps(stock)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        result = stock(*args[:place], text(args[place]), *args[place + 1 :], **kwargs)
        return joined((result,)) if isinstance(result, str) else result

    return filtered


def of_number(stock: Filter) -> Filter:
    """Return a filter that makes a number of text, and of what is missing in memory too."""

    @wraps(stock)
    def filtered(value: Any, *args: Any, **kwargs: Any) -> Any:
        return stock("" if isinstance(value, Blank) else value, *args, **kwargs)

    return filtered


def _none(environment: Environment, values: Any) -> Any:
    return values if isinstance(values, Blank) else environment.undefined()


_KEPT: Final = (
    *("abs", "batch", "count", "d", "default", "dictsort", "groupby", "length", "list", "map"),
    *("max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr", "slice"),
    *("sort", "sum", "unique", "urlencode"),
)
_OF_TEXT: Final = (
    *("capitalize", "indent", "lower", "striptags", "title", "trim", "truncate", "upper"),
    *("wordcount", "wordwrap"),
)

FILTERS: Final = Filters(
    kept=_KEPT,
    ours={
        **{name: of_text(STOCK[name]) for name in _OF_TEXT},
        **{name: of_number(STOCK[name]) for name in ("float", "int")},
        "chat": chat,
        "e": of_text(escape),
        "escape": of_text(escape),
        "first": first,
        "items": items,
        "join": join,
        "last": last,
        "replace": of_text(replace),
        "string": text,
        "tojson": tojson,
    },
)
