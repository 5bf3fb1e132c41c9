"""Messages and copies of errors, without secrets; suggestions for misspelled names."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, TypeVar

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError


def no_response_error(reason: str, server: str, *, maybe_applied: bool) -> StorageError:
    """Return the error for a request that got no response.

    OutcomeUnknownError if it may have been applied: it changes a record, and its last byte may
    have been sent. BackendUnavailableError if it certainly was not, or changes nothing.

    ``reason`` says what happened ("the connection broke"), ``server`` which server did not respond;
    neither may hold a value or a password.
    """
    text = f"{reason} before {server} responded"
    if maybe_applied:
        return OutcomeUnknownError(f"{text}: the write may have been applied")
    return BackendUnavailableError(text)


MIN_QUOTE: Final = 12
"""Consecutive characters of a text that count as a quotation."""

MIN_TEXT: Final = 4
"""Characters of a text that can be recognized: what is shorter is in nearly every message."""


def quotes_text(message: str, texts: Iterable[str | None]) -> bool:
    """Return whether a server's message quotes one of the texts that it was sent, or a secret.

    It does if it has 12 characters of it in a row, or all of it: of a text with fewer than 8
    characters as whole words, and with fewer than 4 it is not recognized. White space counts as one
    space.
    """
    message = " ".join(message.split())
    windows = {message[start : start + MIN_QUOTE] for start in range(len(message) - MIN_QUOTE + 1)}
    return any(_quotes(message, windows, " ".join(text.split())) for text in texts if text)


def _quotes(message: str, windows: Iterable[str], text: str) -> bool:
    if len(text) < MIN_TEXT:
        return False
    if len(text) < 2 * MIN_TEXT:
        return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", message) is not None
    return text in message or any(window in text for window in windows)


E = TypeVar("E", bound=BaseException)


def without_frames(error: E) -> E:
    """Return the error without its traceback and context, to be raised again.

    Error reporters also show the local variables of each frame. If those hold secrets, the caller
    catches the error, and raises this outside the ``except`` block::

        try:
            return parsed(url)
        except ConfigurationError as caught:
            error = without_frames(caught)
        del url  # or this function's frame would hold it
        raise error
    """
    error.__context__ = None
    return error.with_traceback(None)


def copy_error(error: E) -> E:
    """Return a copy of the error, with the same arguments and attributes, for another caller.

    Threads that raise the same exception would all write to its traceback.
    """
    copy: E = type(error).__new__(type(error), *error.args)
    copy.args = error.args
    vars(copy).update(vars(error))
    return copy


MAX_NAMES: Final = 1_000
"""Maximum number of names to compare: each takes time, and a client may have sent them."""

MAX_COMPARISONS: Final = 250_000
"""Maximum number of comparisons of two characters: 15 ms in the worst case."""

MAX_COMPARED_LENGTH: Final = 100
"""Maximum length of a name that is compared: a longer one is no typing error."""


def nearest_name(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest, or None if none is near.

    At most the first 1,000 names are compared, fewer for a long name, and none of more than 100
    characters.
    """
    import difflib  # 5 ms that only an error pays

    text = str(name)
    if len(text) > MAX_COMPARED_LENGTH:
        return None
    most = min(MAX_NAMES, MAX_COMPARISONS // (len(text) ** 2 or 1))
    compared = [other for other in islice(known, most) if len(other) <= MAX_COMPARED_LENGTH]
    nearest = difflib.get_close_matches(text, compared, n=1)
    return nearest[0] if nearest else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest known name, or "" if none is near."""
    nearest = nearest_name(name, known)
    return f" Did you mean {nearest!r}?" if nearest else ""


_BY_CLASS_ATTRIBUTE: Final = {
    "model_dump": 'use its .model_dump(mode="json")',
    "__dataclass_fields__": "use dataclasses.asdict() of it",
    "__attrs_attrs__": "use attrs.asdict() of it",
    "_member_map_": "use its .value",
}
"""By an attribute of the class: of a pydantic model, a dataclass, an attrs class, an Enum."""

_BY_NAME: Final = {
    "bytes": "encode it as text, in base64 for instance",
    "bytearray": "encode it as text, in base64 for instance",
    "memoryview": "encode it as text, in base64 for instance",
    "set": "make it a sorted list",
    "frozenset": "make it a sorted list",
    "date": "use its .isoformat()",
    "time": "use its .isoformat()",
    "timedelta": "use its .total_seconds()",
    "UUID": "use str() of it",
    "Decimal": "use str() of it",
    "Fraction": "use str() of it",
    "PurePath": "use str() of it",
    "UserString": "use str() of it",
    "DataFrame": 'use its .to_dict("records")',
}
"""By the name of the class or one of its bases: a datetime is a date."""

_BY_METHOD: Final = {
    "tolist": "use its .tolist()",  # arrays and scalars of numpy, pandas, torch and the like
    "__await__": "await it",
    "keys": "use dict() of it",
    "__next__": "use list() of it",
    "__len__": "use list() of it",
}
"""By a method of the class, if nothing else is known."""


def conversion_hint(kind: type) -> str:
    """Return how to convert a value of this type for JSON, to append to an error; "" if unknown."""
    names = {base.__name__ for base in kind.__mro__}
    members = {name for base in kind.__mro__ for name in vars(base)}
    for table, known in ((_BY_CLASS_ATTRIBUTE, members), (_BY_NAME, names), (_BY_METHOD, members)):
        if found := _first(table, known):
            return f": {found}"
    return ""


def _first(table: Mapping[str, str], known: set[str]) -> str | None:
    return next((text for name, text in table.items() if name in known), None)


def error_origin(error: BaseException) -> str:
    """Return type and position, such as "TypeError, in line 12 of fibonacci_shelf".

    Without its text, which may quote a password or a value. The name of a missing module is no
    secret: a driver that is imported late may be gone.
    """
    kind, trace = type(error).__name__, error.__traceback__
    if isinstance(error, ModuleNotFoundError) and error.name:
        kind = f"{kind}: No module named {error.name!r}"
    if trace is None:
        return kind
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "code without a module")
    return f"{kind}, in line {trace.tb_lineno} of {module}"
