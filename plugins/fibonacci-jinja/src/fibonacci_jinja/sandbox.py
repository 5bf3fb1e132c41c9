"""The sandbox: what a template may read, call and compute."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, cast

from jinja2 import StrictUndefined, Undefined
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fibonacci.errors import TemplateError
from fibonacci.plugin import get_child, missing_value_error
from fibonacci_jinja.filters import FILTERS
from fibonacci_jinja.lexing import NewlineStyle, PositionLexer
from fibonacci_jinja.text import (
    MAX_LENGTH,
    MissingMemoryValue,
    RefusedError,
    concatenate,
    join_texts,
    to_text,
)

_LOOP: Final = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"}
    | {"previtem", "nextitem", "cycle", "changed"}
)
_UNSET: Final = object()

_MAX_BITS: Final = 4096
"""Bits of the largest result of ``**``."""


class Lookup(NamedTuple):
    """Where a template looks up a value, and the name written there."""

    line: int
    column: int
    name: str | None
    """None if a part of it is computed: that may be a value."""
    in_memory: bool


class Sandbox(ImmutableSandboxedEnvironment):
    """Names are keys and indexes: no loaders, no globals, no access to Python attributes."""

    concat = staticmethod(join_texts)
    concatenate = staticmethod(concatenate)
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, newline: NewlineStyle) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=to_text,
            autoescape=False,
            optimized=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            newline_sequence=newline,
        )
        self.globals.clear()
        self.filters = {**{name: self.filters[name] for name in FILTERS.stock}, **FILTERS.custom}
        self._lexer = PositionLexer(self)

    @property
    def lexer(self) -> PositionLexer:
        """The lexer; Jinja's own property returns a standard one from a cache."""
        return self._lexer

    def look_up(self, value: Any, key: Any, lookup: tuple[Any, ...]) -> Any:
        """Return a value's child, or an Undefined if it is missing. Generated code calls this."""
        if type(value) is dict and type(key) is str and key in value:
            return value[key]
        at = Lookup(*lookup)
        if isinstance(value, Undefined):
            is_missing_memory = isinstance(value, MissingMemoryValue)
            return MissingMemoryValue() if at.in_memory and not is_missing_memory else value
        child = self._child(value, key)
        if child is not _UNSET:
            return child
        return self._undefined(at, value if isinstance(value, Mapping) else ())

    def undefined_name(self, context: Context, lookup: tuple[Any, ...]) -> Undefined:
        """Return the Undefined for a name. Generated code calls this."""
        return self._undefined(Lookup(*lookup), context.parent.keys() - {"nodes"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a child like ``getitem``: Jinja's own filters call both."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        child = obj if isinstance(obj, Undefined) else self._child(obj, argument)
        return self.undefined() if child is _UNSET else child

    def is_safe_callable(self, obj: Any) -> bool:
        owner = getattr(obj, "__self__", None)
        return isinstance(obj, Macro | LoopContext) or isinstance(owner, LoopContext)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _CHECKS[operator](left, right)
        return super().call_binop(context, operator, left, right)

    def _child(self, value: Any, key: Any) -> Any:
        if isinstance(value, LoopContext):
            return getattr(value, key) if key in _LOOP else _UNSET
        if isinstance(key, bool) or not isinstance(key, str | int):
            return _UNSET
        if isinstance(value, list | tuple) and isinstance(key, int) and key < 0:
            key += len(value)
        return get_child(value, key, _UNSET)

    def _undefined(self, lookup: Lookup, known: Any) -> Undefined:
        if lookup.in_memory:
            create_error = partial(_unusable_error, lookup)
            return MissingMemoryValue(name=lookup.name, exc=_as_exception_class(create_error))
        create_error = partial(_missing_error, lookup, known)
        return StrictUndefined(name=lookup.name, exc=_as_exception_class(create_error))


def _as_exception_class(create_error: Callable[[str], TemplateError]) -> Any:
    # Undefined takes the class of its error, and only calls it.
    return cast(Any, create_error)


def _missing_error(lookup: Lookup, known: Any, _: str) -> TemplateError:
    if lookup.name is None:
        return TemplateError(
            f"line {lookup.line}, column {lookup.column}: the computed key has no value",
            line=lookup.line,
            column=lookup.column,
        )
    names = [key for key in known if isinstance(key, str)]
    return missing_value_error(lookup.name, names, line=lookup.line, column=lookup.column)


def _unusable_error(lookup: Lookup, _: str) -> TemplateError:
    name = repr(lookup.name) if lookup.name else "the computed key"
    return TemplateError(
        f"line {lookup.line}, column {lookup.column}: {name} is not in memory, and an empty string "
        f"is not valid here. Provide a default: | default(0)",
        line=lookup.line,
        column=lookup.column,
        name=lookup.name,
    )


def _check_sum(left: Any, right: Any) -> None:
    if isinstance(left, str | list | tuple) and len(left) + len(right) > MAX_LENGTH:
        raise RefusedError(f"the sum would be longer than {MAX_LENGTH:,}")


def _check_product(left: Any, right: Any) -> None:
    for sequence, times in ((left, right), (right, left)):
        is_repetition = isinstance(sequence, str | list | tuple) and isinstance(times, int)
        if is_repetition and len(sequence) * times > MAX_LENGTH:
            raise RefusedError(f"the product would be longer than {MAX_LENGTH:,}")


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > _MAX_BITS:
        raise RefusedError(f"the power would have more than {_MAX_BITS:,} bits")


def _check_modulo(left: Any, right: Any) -> None:
    if isinstance(left, str):
        raise RefusedError("% does not format text; concatenate texts with ~")


_CHECKS: Final[dict[str, Callable[[Any, Any], None]]] = {
    "+": _check_sum,
    "*": _check_product,
    "**": _check_power,
    "%": _check_modulo,
}
