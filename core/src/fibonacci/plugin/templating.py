"""What a templating plugin provides: an engine that compiles the texts of nodes.

A template refers to values by name: ``input.message``, ``memory.history``, ``summarize`` or
``decide.choice`` (the output of the node with that id). Core uses the references to build the graph
and to find which memory to read. The engine renders in one pass: a value is never searched for
templates.
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
    """What core passes to ``fibonacci_templating``."""

    name: str
    """The name of the engine, as in ``Workflow(templating=...)``."""


@attrs.frozen(kw_only=True)
class Reference:
    """A use of a value in a template."""

    root: str
    """``"input"``, ``"memory"``, or the id of a node."""
    path: tuple[str | int, ...] = ()
    """The path from the root, as far as it is constant: keys, and indexes of lists."""
    line: int
    """From 1."""
    column: int
    """Of the name's first character; from 1."""
    unconditional: bool = True
    """Whether rendering always uses it; False inside a condition, a loop or a default."""

    @property
    def name(self) -> str:
        """The reference as written: ``memory.history.0``."""
        return ".".join(map(str, (self.root, *self.path)))


class Template(ABC):
    """A compiled text. One object serves all threads and event loops."""

    references: tuple[Reference, ...]
    """Every use of a value, in the order of the text."""
    literals: tuple[str, ...] | None = None
    """The constant parts of every rendered text: its start, the parts that follow in this order
    with anything between them, its end; one part if the text is constant. None: not known.

    Core uses them to find whether a node can write a key that another node reads."""

    @abstractmethod
    def render(self, namespace: Mapping[str, Any]) -> str:
        """Return the text, with values instead of references.

        The namespace holds ``input`` and ``memory``, both mappings, and the outputs of nodes by
        their id. Text is inserted as it is, any other value as :func:`render_value`
        formats it. Names are keys of mappings and indexes of lists, never attributes or methods; an
        index is also looked up as a text key. A missing value of ``memory`` is empty text; any
        other missing value raises the TemplateError of :func:`missing_value_error`. A value that
        JSON can't represent raises a TemplateError. Rendering does not change the namespace or its
        values.
        """


class Engine(ABC):
    """Compiles templates. One object serves all threads and event loops."""

    @abstractmethod
    def compile(self, source: str) -> Template:
        """Return the template.

        Raises TemplateError if it is invalid, with line and column, also in the text of the error.
        """


def render_value(value: Any, *, strict: bool = True) -> str:
    """Return a value's form in a rendered text: text as it is, any other value as compact JSON.

    Non-ASCII characters are not escaped. Raises TypeError, ValueError or RecursionError for what
    JSON can't represent. A value from memory is valid JSON: pass ``strict=False`` to skip the check
    for NaN and Infinity, which takes as long as formatting.
    """
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    try:
        written = dumps(value, _plain, _STRICT)
    except TypeError:  # an int beyond 64 bits, perhaps; or there is no orjson
        return _EXACT.encode(value)
    # orjson writes null for NaN and Infinity; the standard library refuses them.
    if strict and b"null" in written:
        _EXACT.encode(value)
    return written.decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    # What orjson writes by itself; there is a UUID only if its module is imported.
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, getattr(sys.modules.get("uuid"), "UUID", ())):
        return str(value)
    raise TypeError(f"JSON cannot represent {type(value).__name__}")


_EXACT: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
)


def get_child(value: Any, key: str | int, default: Any = None) -> Any:
    """Return the child of a value at a key or an index, or the default.

    A mapping is looked up by the key, or by the digits of an index; a list or tuple by an index of
    0 or more. Attributes and methods are never used; other values have no children.
    """
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - dicts first: fast
        # By get: a lookup with [] would create a missing item of a defaultdict.
        return value.get(str(key), default)
    if isinstance(value, list | tuple) and isinstance(key, int) and 0 <= key < len(value):
        return value[key]
    return default


def missing_value_error(
    name: str, known: Iterable[str], *, line: int, column: int
) -> TemplateError:
    """Return the error for a name that has no value.

    ``name`` is the reference as written, up to the missing key (``input.user.names``); ``known``
    are the existing keys there (``name``, ``mail``).
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
