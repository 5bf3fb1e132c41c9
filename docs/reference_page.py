"""The page on what users import: signatures and docstrings, read from the source."""

import inspect
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from textwrap import wrap
from types import ModuleType
from typing import Any, Final, is_typeddict

import attrs
from source import Method, assignment, definition, markdown, method, methods, wrapped

import fibonacci
from fibonacci import testing
from fibonacci._memory import expiry
from fibonacci._memory.manager import AllOperations
from fibonacci._workflow import events
from fibonacci.plugin import address

INTRODUCTION: Final = """\
What an application imports from `fibonacci` and `fibonacci.testing`: arguments, defaults and units.
The tours have examples: [workflows](workflows.md), [memory](memory.md),
[testing your app](testing-your-app.md). The errors have [their own page](errors.md), and the types
of `fibonacci.plugin` (`Model`, `ModelRequest`, `Completion`, `Usage`, `Engine`, `Store`) are among
the [hooks](hooks.md)."""

OPERATIONS: Final = """\
The methods of a `MemoryManager`, a `MemoryView` and a `RunMemory`. Each has an async form with the
same arguments, result and errors, whose name starts with `a`: `await memory.aget(...)`, and
`async for key in memory.aiter_keys(...)`. Only `history` has none: it sends no request. A view, and
the memory of a run with a user, have another default scope than `"workflow"`: see above.

In the signatures, `TTL` is a number of seconds (a `float`) or `NO_EXPIRY`, and `N` is `int` or
`float`."""

HISTORIES: Final = """\
[Chat history](chat-history.md) has examples. Each method of a `History` has an async form, too:
`await history.aadd(...)`. In the signatures, `Message` is a dict with `role` and `content`, and
`Content` is text or a list of blocks."""

SECTIONS: Final = {
    "Workflows": "Workflow",
    "Nodes": "LLMNode FunctionNode Node literal MemoryRead MemoryWrite NodeHistory "
    "HistoryCompaction Retry NodeContext",
    "Results": "ExecutionResult NodeTrace CompactionTrace MemoryKey",
    "Events": "Event NodeStarted NodeText NodeRetried NodeFinished NodeFailed MemoryWritten "
    "NestedEvent WorkflowFinished",
    "Memory": "MemoryConfig generate_key MemoryManager MemoryView RunMemory Scope NO_EXPIRY",
    "Memory operations": "",
    "Histories": "History Turn HistoryInfo",
    "Plugins": "plugins PluginInfo register_plugin",
    "Testing": "fresh_memory override_model ScriptedModel",
}
INTRODUCTIONS: Final = {
    "Memory operations": OPERATIONS,
    "Histories": HISTORIES,
    "Testing": "From `fibonacci.testing`. `M` is the type of the model that is passed.",
}
VALUES: Final = {"Event": events, "Scope": address, "NO_EXPIRY": expiry}
"""Names that are neither classes nor functions, and the modules that define them."""

CONSTRUCTED: Final = (
    *("Workflow", "Node", "LLMNode", "FunctionNode", "Retry", "MemoryConfig"),
    "ScriptedModel",
)
"""Classes that users call; they get objects of the others."""

ALIASES: Final = {
    "Literal['workflow', 'user', 'organization', 'global']": "Scope",
    "Optional[Scope]": "Scope | None",
    "Union[float, Literal[NO_EXPIRY], NoneType]": "TTL | None",
}
"""What a type shows as at runtime, and what the source calls it."""

WIDTH: Final = 80
"""Characters: what a column of the site shows without scrolling."""

AWAIT: Final = {"async def ": "await ", "def ": ""}


def reference_parts() -> Iterator[str]:
    """Yield the parts of the page, in their order."""
    yield INTRODUCTION
    for title, names in SECTIONS.items():
        yield f"## {title}"
        yield INTRODUCTIONS.get(title, "")
        for name in names.split():
            yield f"### {name}"
            yield from _describe(name)
        if title == "Memory operations":
            yield from _operations()


def _describe(name: str) -> Iterator[str]:
    if name in VALUES:
        return _value(name, VALUES[name])
    thing = getattr(fibonacci, name, None) or getattr(testing, name)
    return _class(thing) if inspect.isclass(thing) else _function(thing)


def _value(name: str, module: ModuleType) -> Iterator[str]:
    value, text = assignment(name, module)
    if name != "NO_EXPIRY":
        yield _code(f"{name} = {value}".replace(" | ", "\n    | "))
    yield text


def _function(function: Any) -> Iterator[str]:
    described = method(definition(function))
    yield _code(_call(described.signature))
    yield described.text


def _class(cls: type) -> Iterator[str]:
    if cls.__name__ in CONSTRUCTED:
        yield _code(_constructor(cls))
    elif declared := _declared(cls):
        yield _code(declared)
    yield markdown(inspect.getdoc(cls) or "")
    described_methods: Iterable[Method] = methods(definition(cls))
    if cls is fibonacci.History:
        described_methods = _without_async_forms(described_methods)
    for described in described_methods:
        if described.text:
            yield f"#### {cls.__name__}.{described.name}"
            yield _code(_call(described.signature))
            yield described.text


def _operations() -> Iterator[str]:
    """The operations of memories, without their async forms."""
    for base in AllOperations.__bases__:
        for found in _without_async_forms(methods(definition(base))):
            yield f"### {found.name}"
            yield _code(_call(found.signature, "memory."))
            yield found.text


def _without_async_forms(described: Iterable[Method]) -> list[Method]:
    """Leave out what has the name of another method after an "a"."""
    by_name = {found.name: found for found in described}
    return [found for name, found in by_name.items() if name[0] != "a" or name[1:] not in by_name]


def _call(signature: str, owner: str = "") -> str:
    """A signature as users call it: without ``self``, with the value of the default scope."""
    marks, _, signature = signature.rpartition("\n")
    signature = re.sub(r"\((self|cls)(, )?", "(", signature).replace("DEFAULT_SCOPE", "'workflow'")
    signature = signature.replace("USER_SCOPE", "'user'")
    signature = re.sub(r"-> '(\w+)'", r"-> \1", signature.replace("=", " = "))
    if "property" in marks:
        return signature.removeprefix("def ").replace("() ->", ":")
    call = re.sub("^async def |^def ", lambda start: AWAIT[start[0]] + owner, signature)
    return wrapped(call, WIDTH)


def _constructor(cls: type) -> str:
    """The call of a class, an argument a line; what attrs converts is of the type that it takes."""
    declared = {field.name: field for field in attrs.fields(cls)} if attrs.has(cls) else {}
    lines, starred = [], False
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            lines.append("*")
        annotation, default = parameter.annotation, parameter.default
        if annotation is Any:
            annotation = declared[name].type
        if default is attrs.NOTHING:
            default = declared[name].default.factory()
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        shown = "" if default is parameter.empty else f" = {default!r}"
        lines.append(f"{star}{name}: {_type(annotation)}{shown}")
    call = f"{cls.__name__}({', '.join(lines)})"
    if len(call) <= WIDTH:
        return call
    broken = [wrap(f"    {line},", WIDTH, subsequent_indent=" " * 8) for line in lines]
    return "\n".join([f"{cls.__name__}(", *chain(*broken), ")"])


def _declared(cls: type) -> str:
    """The attributes of a class that users only read, or of a typed dict."""
    head = f"class {cls.__name__}"
    if is_typeddict(cls):
        head += "(TypedDict, total=False)"
    elif not attrs.has(cls) and not issubclass(cls, tuple):
        return ""
    hints = {name: hint for name, hint in cls.__annotations__.items() if name[0] != "_"}
    return "\n".join([f"{head}:", *(f"    {name}: {_type(hints[name])}" for name in hints)])


def _type(annotation: Any) -> str:
    """A type as the source would have it: no modules, and names for what is long."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"ForwardRef\('(.+?)'\)", r"\1", text)
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)
    for long, short in ALIASES.items():
        text = text.replace(long, short)
    return text


def _code(text: str) -> str:
    return f"```\n{text}\n```"
