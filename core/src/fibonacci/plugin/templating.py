"""What a templating plugin provides: an engine that compiles the texts of nodes.

A template asks for values by name: ``input.message``, ``memory.history``, ``summarize`` or
``decide.choice`` (the output of the node of that id). Core reads its references to draw the graph
and to see which memory it needs; the engine renders it in one pass: what stands in a value is
never looked through for templates again.
"""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

import attrs

from fibonacci.errors import TemplateError
from fibonacci.plugin._orjson import dumps, option
from fibonacci.plugin._runtime.errors import nearest_name

_STRICT: Final = option("DATACLASS", "DATETIME")


@attrs.frozen(kw_only=True)
class EngineSettings:
    """What core hands to ``fibonacci_templating``."""

    name: str
    """The engine asked for, as in ``Workflow(templating=...)``."""


@attrs.frozen(kw_only=True)
class Reference:
    """One place in a template that asks for a value."""

    root: str
    """``"input"``, ``"memory"``, or the id of a node."""
    path: tuple[str | int, ...] = ()
    """The way from the root, as far as it is written out: keys, and indexes of lists."""
    line: int
    """From 1."""
    column: int
    """Of the name's first character; from 1."""
    unconditional: bool = True
    """Whether rendering surely asks for it; False inside a condition, a loop or a default."""

    @property
    def name(self) -> str:
        """As it is written: ``memory.history.0``."""
        return ".".join(map(str, (self.root, *self.path)))


class Template(ABC):
    """A text that was compiled. One object serves all threads and event loops."""

    references: tuple[Reference, ...]
    """Every place that asks for a value, in the order of the text."""
    literals: tuple[str, ...] | None = None
    """What stands in every text that it renders: how that begins, what follows in this order with
    anything between, how it ends; one where it is always the same text. None: not known.

    Core tells by it whether a key that one node writes can be one that another reads."""

    @abstractmethod
    def render(self, namespace: Mapping[str, Any]) -> str:
        """Return the text, with values in the place of names.

        The namespace holds ``input`` and ``memory``, both mappings, and the outputs of nodes by
        their id. Text goes in as it is, all else as :func:`render_value` writes it. Names are keys
        of mappings and indexes of lists, never attributes or methods; a number is also the key of
        its digits. What is missing in ``memory`` is empty text; what is missing elsewhere is the
        TemplateError of :func:`missing_value_error`, and so is a value that JSON has no form for.
        Rendering changes nothing: not the namespace, not what is in it.
        """


class Engine(ABC):
    """Compiles templates. One object serves all threads and event loops."""

    @abstractmethod
    def compile(self, source: str) -> Template:
        """Return the template.

        Raises TemplateError where it is none, with line and column, which its text tells too.
        """


def render_value(value: Any, *, strict: bool = True) -> str:
    """Return what a value looks like in a rendered text: text as it is, else compact JSON.

    Characters beyond ASCII stay as they are. Raises TypeError, ValueError or RecursionError for
    what JSON has no form for. What comes from memory is JSON already: without ``strict`` it is not
    looked through for NaN and Infinity, which takes as long as writing it.
    """
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    try:
        written = dumps(value, _plain, _STRICT)
    except TypeError:  # an int beyond 64 bits, perhaps; or there is no orjson
        return _EXACT.encode(value)
    # orjson writes null where a number is none; the standard library refuses that.
    if strict and b"null" in written:
        _EXACT.encode(value)
    return written.decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    # What orjson writes by itself; a UUID is there only where its module is.
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, getattr(sys.modules.get("uuid"), "UUID", ())):
        return str(value)
    raise TypeError(f"JSON has no form for {type(value).__name__}")


_EXACT: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
)


def get_child(value: Any, key: str | int, default: Any = None) -> Any:
    """Return what a value holds under a key or an index, or the default; nothing else is looked at.

    A mapping is asked for the key, and for the digits of an index; a list for the item of an index
    from 0 on. Attributes and methods are never seen, and nothing else holds anything.
    """
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - dicts first: fast
        # By get: an item that is missing may be made by asking for it, as in a defaultdict.
        return value.get(str(key), default)
    if isinstance(value, list | tuple) and isinstance(key, int) and 0 <= key < len(value):
        return value[key]
    return default


def missing_value_error(
    name: str, known: Iterable[str], *, line: int, column: int
) -> TemplateError:
    """Return the error for a name that has no value.

    ``name`` is as it is written, up to the key that is missing (``input.user.names``); ``known``
    are the keys that could stand in the place of the last one (``name``, ``mail``).
    """
    before, dot, last = name.rpartition(".")
    nearest = nearest_name(last, known)
    nearest = nearest and before + dot + nearest
    hint = f" Did you mean {nearest!r}?" if nearest else ""
    return TemplateError(
        f"line {line}, column {column}: {name!r} has no value.{hint}",
        line=line,
        column=column,
        name=name,
        nearest=nearest,
    )
