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
_GOOD_PART: Final = re.compile(rf"\{{\{{{_SPACE}(?:(?P<path>{_PATH})(?:(?P<dot>\.)|{_SPACE}))?")
"""As much of a faulty tag as is right."""

_PLAIN: Final = "a prompt that is no template is fibonacci.literal(...)"
_NAMES: Final = 'Names are such as input.message; a literal brace pair is {{ "{{" }}'
_MORE: Final = 'Filters, calls and subscripts are for Workflow(templating="jinja")'
_KEYS: Final = (
    "Keys are letters, digits, _ and -, with dots between them: memory.history.0. "
    'Give any other key a name with "as" in memory_read'
)

_NO_KEY: Final = object()
"""In no mapping: stands where a reference is more or less than one key below its root."""

_Slot = tuple[int, str, object, Reference]
"""Where a value goes among the parts, and the way to it: root, key, and the whole reference."""


class BracesTemplate(Template):
    """Parts of text, with a slot between them for each value."""

    def __init__(self, parts: list[str], values: Mapping[int, Reference]) -> None:
        self.references = tuple(values.values())
        self.literals = _literals(parts, values)
        self._parts = parts
        self._values = values
        self._slots = [_slot(index, reference) for index, reference in values.items()]

    def of_inputs(self) -> "BracesTemplate":
        """Return the same with nothing in the place of all that is no input."""
        inputs = {index: one for index, one in self._values.items() if one.root == "input"}
        return BracesTemplate(self._parts, inputs)

    def render(self, namespace: Mapping[str, Any]) -> str:
        parts = self._parts.copy()
        for index, root, key, reference in self._slots:
            holder = namespace.get(root)
            if type(holder) is dict and key in holder:
                value = holder[key]
            else:
                value = _find(namespace, reference)
            parts[index] = value if type(value) is str else _written(value, reference)
        return "".join(parts)


class BracesEngine(Engine):
    """Compiles a text in one go; it keeps nothing."""

    def compile(self, source: str) -> Template:
        parts: list[str] = []
        values: dict[int, Reference] = {}
        newlines = [found.start() for found in re.finditer("\n", source)]
        end = 0
        while (start := source.find("{{", end)) >= 0:
            tag = _TAG.match(source, start)
            if tag is None:
                _refuse(source, start, newlines)
            parts.append(source[end:start])
            if tag["path"]:
                values[len(parts)] = _reference(tag["path"], *_place(newlines, tag.start("path")))
            parts.append(tag["braces"] or "")
            end = tag.end()
        return BracesTemplate([*parts, source[end:]], values)


@hookimpl
def fibonacci_templating(settings: EngineSettings) -> Engine:
    """Return the engine."""
    return BracesEngine()


def _literals(parts: list[str], values: Mapping[int, Reference]) -> tuple[str, ...]:
    """Return the text between the slots."""
    starts, ends = (0, *(index + 1 for index in values)), (*values, len(parts))
    return tuple("".join(parts[start:end]) for start, end in zip(starts, ends, strict=True))


def _slot(index: int, reference: Reference) -> _Slot:
    path = reference.path
    key = path[0] if len(path) == 1 and isinstance(path[0], str) else _NO_KEY
    return index, reference.root, key, reference


def _reference(path: str, line: int, column: int) -> Reference:
    root, *rest = path.split(".")
    keys = tuple(int(segment) if segment.isdecimal() else segment for segment in rest)
    return Reference(root=root, path=keys, line=line, column=column)


def _find(namespace: Mapping[str, Any], reference: Reference) -> Any:
    """Return the value; of memory, where it is missing, empty text."""
    value: Any = namespace
    for depth, key in enumerate((reference.root, *reference.path)):
        found = get_child(value, key, _NO_KEY)
        if found is _NO_KEY:
            if reference.root == "memory":
                return ""
            name = ".".join(reference.name.split(".")[: depth + 1])
            known = _names(value)
            raise missing_value_error(name, known, line=reference.line, column=reference.column)
        value = found
    return value


def _names(value: Any) -> list[str]:
    """The keys that a template can write."""
    keys = value if isinstance(value, Mapping) else ()
    return [key for key in keys if isinstance(key, str) and re.fullmatch(_NAME, key)]


def _written(value: Any, reference: Reference) -> str:
    try:
        return render_value(value, strict=reference.root != "memory")
    except (TypeError, ValueError, RecursionError):
        way = "" if isinstance(value, Mapping | list | tuple) else conversion_hint(type(value))
        raise TemplateError(
            f"line {reference.line}, column {reference.column}: JSON has no form for what "
            f"{reference.name!r} is, or holds ({type(value).__name__}){way}",
            line=reference.line,
            column=reference.column,
            name=reference.name,
        ) from None


def _place(newlines: list[int], index: int) -> tuple[int, int]:
    """Line and column of a character, both from 1."""
    line = bisect_left(newlines, index)
    return line + 1, index - (newlines[line - 1] if line else -1)


def _refuse(source: str, start: int, newlines: list[int]) -> NoReturn:
    """Raise the error for a tag that is none: where it stops being one, and what is due there."""
    good = _GOOD_PART.match(source, start)
    assert good is not None
    end = good.end()
    due = "}}" if good["path"] else "a name"
    if good["dot"]:
        due = "a key or an index"
    if end == len(source):
        line, column = _place(newlines, start)
        told = f"this {{{{ is never closed: {due} is expected; {_PLAIN}"
    else:
        line, column = _place(newlines, end)
        advice = _advice(source[end], good["path"])
        told = f"{due} is expected, not {source[end]!r}. {advice}; {_PLAIN}"
    raise TemplateError(
        f"line {line}, column {column}: {told}", line=line, column=column, name=good["path"]
    )


def _advice(found: str, path: str | None) -> str:
    if found in "|([":
        return _MORE
    return _NAMES if path is None else _KEYS
