"""The sandbox: what a template may look at, call and compute."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal, NamedTuple, cast

from jinja2 import StrictUndefined, Undefined
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fibonacci.errors import TemplateError
from fibonacci.plugin import get_child, missing_value_error
from fibonacci_jinja.filters import FILTERS
from fibonacci_jinja.places import PlacedLexer
from fibonacci_jinja.text import LIMIT, Blank, RefusedError, concatenated, joined, text

_LOOP: Final = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"}
    | {"previtem", "nextitem", "cycle", "changed"}
)
_UNSET: Final = object()

_BITS: Final = 4096
"""Of the largest number that ``**`` may make."""


class Way(NamedTuple):
    """Where in the template a value is asked for, and how that is written there."""

    line: int
    column: int
    name: str | None
    """None where a part of it is computed: it may be a value."""
    in_memory: bool


class Sandbox(ImmutableSandboxedEnvironment):
    """Names are keys and indexes. Nothing is loaded, nothing global, nothing of Python in reach."""

    concat = staticmethod(joined)
    concatenate = staticmethod(concatenated)
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, newline: Literal["\n", "\r\n"]) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=text,
            autoescape=False,
            optimized=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            newline_sequence=newline,
        )
        self.globals.clear()
        self.filters = {**{name: self.filters[name] for name in FILTERS.kept}, **FILTERS.ours}
        self._lexer = PlacedLexer(self)

    @property
    def lexer(self) -> PlacedLexer:
        """The lexer; Jinja's own property takes a plain one from a cache."""
        return self._lexer

    def look_up(self, value: Any, key: Any, place: tuple[Any, ...]) -> Any:
        """Return what a value holds, or what stands for it where it is missing."""
        if type(value) is dict and type(key) is str and key in value:
            return value[key]
        way = Way(*place)
        if isinstance(value, Undefined):
            return Blank() if way.in_memory and not isinstance(value, Blank) else value
        found = self._below(value, key)
        if found is not _UNSET:
            return found
        return self._absent(way, value if isinstance(value, Mapping) else ())

    def unknown(self, context: Context, place: tuple[Any, ...]) -> Undefined:
        """Return what stands for a name that neither the namespace nor the template has."""
        return self._absent(Way(*place), context.parent.keys() - {"nodes"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Jinja's own filters ask here and by getitem: for keys and indexes, all the same."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        found = obj if isinstance(obj, Undefined) else self._below(obj, argument)
        return self.undefined() if found is _UNSET else found

    def is_safe_callable(self, obj: Any) -> bool:
        owner = getattr(obj, "__self__", None)
        return isinstance(obj, Macro | LoopContext) or isinstance(owner, LoopContext)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check[operator](left, right)
        return super().call_binop(context, operator, left, right)

    def _below(self, value: Any, key: Any) -> Any:
        if isinstance(value, LoopContext):
            return getattr(value, key) if key in _LOOP else _UNSET
        if isinstance(key, bool) or not isinstance(key, str | int):
            return _UNSET
        if isinstance(value, list | tuple) and isinstance(key, int) and key < 0:
            key += len(value)
        return get_child(value, key, _UNSET)

    def _absent(self, way: Way, known: Any) -> Undefined:
        if way.in_memory:
            return Blank(name=way.name, exc=_raising(partial(_unfit, way)))
        return StrictUndefined(name=way.name, exc=_raising(partial(_missing, way, known)))


def _raising(make: Callable[[str], TemplateError]) -> Any:
    # Undefined asks for the class of its error, and only calls it.
    return cast(Any, make)


def _missing(way: Way, known: Any, told: str) -> TemplateError:
    if way.name is None:
        return TemplateError(
            f"line {way.line}, column {way.column}: the key that is asked for here has no value",
            line=way.line,
            column=way.column,
        )
    names = [key for key in known if isinstance(key, str)]
    return missing_value_error(way.name, names, line=way.line, column=way.column)


def _unfit(way: Way, told: str) -> TemplateError:
    name = repr(way.name) if way.name else "the key that is asked for here"
    return TemplateError(
        f"line {way.line}, column {way.column}: {name} is missing in memory, and empty text does "
        f"not do here. Give it a value: | default(0)",
        line=way.line,
        column=way.column,
        name=way.name,
    )


def _check_sum(left: Any, right: Any) -> None:
    if isinstance(left, str | list | tuple) and len(left) + len(right) > LIMIT:
        raise RefusedError(f"the sum would be longer than {LIMIT:,}")


def _check_product(left: Any, right: Any) -> None:
    for many, times in ((left, right), (right, left)):
        sized = isinstance(many, str | list | tuple) and isinstance(times, int)
        if sized and len(many) * times > LIMIT:
            raise RefusedError(f"the product would be longer than {LIMIT:,}")


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > _BITS:
        raise RefusedError(f"the power would have more than {_BITS:,} bits")


def _check_modulo(left: Any, right: Any) -> None:
    if isinstance(left, str):
        raise RefusedError("text is not formatted by %; put texts together by ~")


_check: Final[dict[str, Callable[[Any, Any], None]]] = {
    "+": _check_sum,
    "*": _check_product,
    "**": _check_power,
    "%": _check_modulo,
}
