"""The ``builtin`` engine: ``{{ memory.history }}`` and nothing else, rendered in one pass."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from fibonacci.errors import TemplateError
from fibonacci.plugin._runtime.errors import conversion_hint
from fibonacci.plugin.hookspecs import hookimpl
from fibonacci.plugin.templating import (
    Engine,
    EngineSettings,
    Reference,
    Template,
    get_child,
    missing_value_error,
    render_value,
)

FIBONACCI_SPEC_VERSION: Final = 1

_NAME: Final = "[A-Za-z_][A-Za-z0-9_-]*"
_INDEX: Final = "(?:0|[1-9][0-9]{0,8})"
_PATH: Final = rf"{_NAME}(?:\.(?:{_NAME}|{_INDEX}))*"
_SPACE: Final = r"[ \t\r\n]*"

_TAG: Final = re.compile(
    rf"\{{\{{{_SPACE}(?:(?P<path>{_PATH})|(?P<quote>[\"'])(?P<braces>\{{\{{|\}}\}})(?P=quote))"
    rf"{_SPACE}\}}\}}"
)
_VALID_START: Final = re.compile(rf"\{{\{{{_SPACE}(?:(?P<path>{_PATH})(?:(?P<dot>\.)|{_SPACE}))?")
"""The valid start of an invalid tag."""

_LITERAL_HINT: Final = "a prompt that is no template is fibonacci.literal(...)"
_NAMES_HINT: Final = 'Names are such as input.message; a literal brace pair is {{ "{{" }}'
_JINJA_HINT: Final = 'Filters, calls and subscripts are for Workflow(templating="jinja")'
_KEYS_HINT: Final = (
    "Keys are letters, digits, _ and -, with dots between them: memory.history.0. "
    'Give any other key a name with "as" in memory_read'
)

_MISSING: Final = object()
"""A key of no mapping, for a reference that is not exactly one key below its root."""

_Slot = tuple[int, str, object, Reference]
"""The index of a value among the parts, and its root, key and whole reference."""


class BuiltinTemplate(Template):
    """Parts of text, with a slot for each value."""

    def __init__(self, parts: list[str], values: Mapping[int, Reference]) -> None:
        self.references = tuple(values.values())
        self.literals = _literals(parts, values)
        self._parts = parts
        self._values = values
        self._slots = [_slot(index, reference) for index, reference in values.items()]

    def inputs_only(self) -> "BuiltinTemplate":
        """Return the template with empty text instead of every value that is no input."""
        inputs = {
            index: reference
            for index, reference in self._values.items()
            if reference.root == "input"
        }
        return BuiltinTemplate(self._parts, inputs)

    def render(self, namespace: Mapping[str, Any]) -> str:
        parts = self._parts.copy()
        for index, root, key, reference in self._slots:
            holder = namespace.get(root)
            if type(holder) is dict and key in holder:
                value = holder[key]
            else:
                value = _find(namespace, reference)
            parts[index] = value if type(value) is str else _render_value(value, reference)
        return "".join(parts)


class BuiltinEngine(Engine):
    """Compiles a text in one pass; it has no state."""

    def compile(self, source: str) -> Template:
        parts: list[str] = []
        values: dict[int, Reference] = {}
        newlines = [found.start() for found in re.finditer("\n", source)]
        end = 0
        while (start := source.find("{{", end)) >= 0:
            tag = _TAG.match(source, start)
            if tag is None:
                _raise_syntax_error(source, start, newlines)
            parts.append(source[end:start])
            if tag["path"]:
                values[len(parts)] = _reference(
                    tag["path"], *_position(newlines, tag.start("path"))
                )
            parts.append(tag["braces"] or "")
            end = tag.end()
        return BuiltinTemplate([*parts, source[end:]], values)


@hookimpl
def fibonacci_templating(settings: EngineSettings) -> Engine:
    """Return the engine."""
    return BuiltinEngine()


def _literals(parts: list[str], values: Mapping[int, Reference]) -> tuple[str, ...]:
    """Return the text between the slots."""
    starts, ends = (0, *(index + 1 for index in values)), (*values, len(parts))
    return tuple("".join(parts[start:end]) for start, end in zip(starts, ends, strict=True))


def _slot(index: int, reference: Reference) -> _Slot:
    path = reference.path
    key = path[0] if len(path) == 1 and isinstance(path[0], str) else _MISSING
    return index, reference.root, key, reference


def _reference(path: str, line: int, column: int) -> Reference:
    root, *rest = path.split(".")
    keys = tuple(int(segment) if segment.isdecimal() else segment for segment in rest)
    return Reference(root=root, path=keys, line=line, column=column)


def _find(namespace: Mapping[str, Any], reference: Reference) -> Any:
    """Return the value; empty text if it is missing in memory."""
    value: Any = namespace
    for depth, key in enumerate((reference.root, *reference.path)):
        found = get_child(value, key, _MISSING)
        if found is _MISSING:
            if reference.root == "memory":
                return ""
            name = ".".join(reference.name.split(".")[: depth + 1])
            known = _writable_keys(value)
            raise missing_value_error(name, known, line=reference.line, column=reference.column)
        value = found
    return value


def _writable_keys(value: Any) -> list[str]:
    """Return the keys that a template can refer to."""
    keys = value if isinstance(value, Mapping) else ()
    return [key for key in keys if isinstance(key, str) and re.fullmatch(_NAME, key)]


def _render_value(value: Any, reference: Reference) -> str:
    try:
        return render_value(value, strict=reference.root != "memory")
    except (TypeError, ValueError, RecursionError):
        hint = "" if isinstance(value, Mapping | list | tuple) else conversion_hint(type(value))
        raise TemplateError(
            f"line {reference.line}, column {reference.column}: JSON cannot represent "
            f"{reference.name!r}, or a value in it ({type(value).__name__}){hint}",
            line=reference.line,
            column=reference.column,
            name=reference.name,
        ) from None


def _position(newlines: list[int], index: int) -> tuple[int, int]:
    """Return line and column of a character, both from 1."""
    line = bisect_left(newlines, index)
    return line + 1, index - (newlines[line - 1] if line else -1)


def _raise_syntax_error(source: str, start: int, newlines: list[int]) -> NoReturn:
    """Raise the error for an invalid tag: where it goes wrong, and what is expected there."""
    valid = _VALID_START.match(source, start)
    assert valid is not None
    end = valid.end()
    expected = "}}" if valid["path"] else "a name"
    if valid["dot"]:
        expected = "a key or an index"
    if end == len(source):
        line, column = _position(newlines, start)
        message = f"this {{{{ is never closed: {expected} is expected; {_LITERAL_HINT}"
    else:
        line, column = _position(newlines, end)
        hint = _syntax_hint(source[end], valid["path"])
        message = f"{expected} is expected, not {source[end]!r}. {hint}; {_LITERAL_HINT}"
    raise TemplateError(
        f"line {line}, column {column}: {message}", line=line, column=column, name=valid["path"]
    )


def _syntax_hint(found: str, path: str | None) -> str:
    if found in "|([":
        return _JINJA_HINT
    return _NAMES_HINT if path is None else _KEYS_HINT
