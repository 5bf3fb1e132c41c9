"""Where large values differ, in a few words.

pytest compares them line by line, and shows all of that if CI is set: of two lists of 25,000 items
this takes more than a minute.
"""

from collections.abc import Iterable, Mapping
from reprlib import Repr
from typing import Any

_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 60


def difference(found: Any, expected: Any, name: str = "it") -> str | None:
    """Return where two values of JSON, or two batches of bytes, differ; None if they are equal."""
    if found == expected:
        return None
    for place in _common_places(found, expected):
        if found[place] != expected[place]:
            return difference(found[place], expected[place], f"{name}[{place!r}]")
    return f"{name} is {_shown(found)}, not {_shown(expected)}"


def _common_places(found: Any, expected: Any) -> Iterable[Any]:
    """Return the keys or indexes of two containers, if these are the same in both."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        return expected if found.keys() == expected.keys() else ()
    if isinstance(found, (list, bytes)) and type(found) is type(expected):
        return range(len(found)) if len(found) == len(expected) else ()
    return ()


def _shown(value: Any) -> str:
    length = f" of length {len(value)}" if isinstance(value, (Mapping, list, bytes, str)) else ""
    return f"{_REPR.repr(value)}{length}"
