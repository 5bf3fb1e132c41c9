"""Strict JSON in Python: copies a value to plain types, or names the part that is not JSON."""

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from fibonacci.errors import SerializationError
from fibonacci.plugin._orjson import orjson
from fibonacci.plugin._runtime.errors import conversion_hint

MAX_DEPTH: Final = 254
"""How deep containers may be nested, an empty container included; orjson's limit."""

MAX_DIGITS: Final = 4_300
"""Digits of an int; Python's own limit for parsing one."""

_TOO_LARGE: Final = 10**MAX_DIGITS


def encode(value: Any, name: str) -> bytes:
    """Return the value as JSON, or raise SerializationError with the path of what is not JSON."""
    copier = _Copier(name)
    plain = copier.copy(value)
    if orjson and not copier.has_huge_int:
        data: bytes = orjson.dumps(plain)
        return data
    try:
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise SerializationError(
            f"{_shorten(name)} has an int in it with more digits than this process allows: "
            f"see sys.set_int_max_str_digits"
        ) from None
    return (b" " if copier.has_huge_int else b"") + text.encode()


def decode(data: bytes) -> Any:
    """Return the value; ValueError if the bytes are not strict JSON."""
    return _decode(_STRICT_DECODER, data)


def loads(data: bytes) -> Any:
    """Return the value as orjson reads it: a number of more than 64 bits is a float."""
    return _decode(_ORJSON_LIKE_DECODER, data)


def _decode(decoder: json.JSONDecoder, data: bytes) -> Any:
    value = decoder.decode(data.decode())
    if b"\\ud" in data.lower():  # perhaps a lone surrogate: that would not encode
        json.dumps(value, ensure_ascii=False).encode()
    return value


@attrs.define
class _Container:
    """A container that is being copied: the parts still to copy, and the plain copy so far."""

    source: Any
    parts: Iterator[tuple[str | int, Any]]
    copy: Any
    step: str | int = ""

    def put(self, part: Any) -> None:
        if isinstance(self.copy, list):
            self.copy.append(part)
        else:
            self.copy[self.step] = part


class _Copier:
    """Copies one value without recursion; it knows the path to its current position.

    It checks what a type inherits from, and reads the contents with the plain type's own methods:
    an object may claim any class, and a subclass may show anything as its contents.
    """

    def __init__(self, name: str) -> None:
        self.has_huge_int = False
        """Whether an int has more than 64 bits: only the standard library encodes those."""
        self._stack = [_Container(None, iter([(name, None)]), [], name)]

    def copy(self, value: Any) -> Any:
        """Return a copy of the value with only the plain types of JSON in it."""
        root = self._stack[0]
        self._add(value)
        while len(self._stack) > 1:
            innermost = self._stack[-1]
            for step, part in innermost.parts:
                if len(self._stack) - 1 > MAX_DEPTH:
                    raise self._container_error(f"is nested deeper than {MAX_DEPTH} containers")
                innermost.step = step
                self._add(part)
                if self._stack[-1] is not innermost:
                    break
            else:
                self._stack.pop()
        return root.copy[0]

    def _add(self, value: Any) -> None:
        """Add a leaf to the innermost container.

        For a container, add an empty copy and enter it.
        """
        kind = type(value)
        if issubclass(kind, dict):
            self._enter(value, self._members(value), {})
        elif issubclass(kind, list | tuple):
            parts = list.__iter__(value) if issubclass(kind, list) else tuple.__iter__(value)
            self._enter(value, enumerate(parts), [])
        else:
            self._stack[-1].put(self._leaf(value, kind))

    def _enter(self, value: Any, parts: Iterator[tuple[str | int, Any]], copy: Any) -> None:
        if any(container.source is value for container in self._stack):
            raise self._error("contains a reference cycle, which JSON cannot represent")
        self._stack[-1].put(copy)
        self._stack.append(_Container(value, parts, copy))

    def _members(self, value: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        # An OrderedDict has an order besides that of the dict that it is.
        kind: Any = OrderedDict if issubclass(type(value), OrderedDict) else dict
        for key, part in kind.items(value):
            if not issubclass(type(key), str):
                raise self._container_error(
                    f"has a key of type {type(key).__name__}, and JSON keys are text: "
                    f"use str() of it"
                )
            plain = str.__str__(key)
            if plain in seen:
                raise self._container_error("has two keys that are the same text")
            position = lone_surrogate(plain)
            if position is not None:
                raise self._container_error(
                    f"has a key with half of a surrogate pair, at position {position}"
                )
            seen.add(plain)
            yield plain, part

    def _leaf(self, value: Any, kind: type) -> Any:
        if value is None or kind is bool:
            return value
        if issubclass(kind, str):
            text = str.__str__(value)
            position = lone_surrogate(text)
            if position is not None:
                raise self._error(f"has half of a surrogate pair, at position {position}")
            return text
        if issubclass(kind, int):
            integer = int.__int__(value)
            if not -_TOO_LARGE < integer < _TOO_LARGE:
                raise self._error(f"is an int of over {MAX_DIGITS:,} digits")
            self.has_huge_int |= _is_huge(integer)
            return integer
        if issubclass(kind, float):
            number = float.__float__(value)
            if not math.isfinite(number):
                name = "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
                raise self._error(f"is {name}, which JSON cannot represent")
            return number
        problem = f"is of type {kind.__name__}, which JSON cannot represent"
        raise self._error(problem + conversion_hint(kind))

    def _error(self, problem: str) -> SerializationError:
        """The error, with the path: it may show dict keys, and nothing else of the value."""
        steps = [container.step for container in self._stack]
        return SerializationError(f"{path_to(steps)} {problem}")

    def _container_error(self, problem: str) -> SerializationError:
        """The error for the innermost container, rather than for a part of it."""
        steps = [container.step for container in self._stack[:-1]]
        return SerializationError(f"{path_to(steps)} {problem}")


def lone_surrogate(text: str) -> int | None:
    """Return the position of half of a surrogate pair, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def path_to(steps: list[str | int]) -> str:
    """Return the path to a part, by keys and indexes; the first step is the name of the record."""
    name, *inner = steps
    shown = [_format_step(step) for step in inner]
    if len(shown) > 16:
        shown[8:-8] = ["…"]
    return _shorten(str(name)) + "".join(shown)


def _format_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{_shorten(step)}" if step.isidentifier() else f"[{_shorten(step)!r}]"


def _shorten(text: str) -> str:
    short = text if len(text) <= 40 else f"{text[:39]}…"
    return short if short.isprintable() else repr(short)


def make_decoder(
    *, strict: bool, parse_int: Callable[[str], int | float] | None = None
) -> json.JSONDecoder:
    """Return a decoder for JSON only; if not strict, strings may have control characters in them.

    ``parse_int`` parses a number without a point, if that is not int().
    """
    return json.JSONDecoder(
        parse_constant=_refuse_constant,
        parse_float=_parse_finite,
        parse_int=parse_int,
        strict=strict,
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _parse_int(text: str) -> int | float:
    number = int(text)
    return _parse_finite(text) if _is_huge(number) else number


def _is_huge(number: int) -> bool:
    """Return whether the int has too many bits for orjson."""
    return not -(2**63) <= number < 2**64


_STRICT_DECODER: Final = make_decoder(strict=True)
_ORJSON_LIKE_DECODER: Final = make_decoder(strict=True, parse_int=_parse_int)
