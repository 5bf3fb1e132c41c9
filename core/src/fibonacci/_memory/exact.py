"""The exact way: a walk that makes a value plain, or names the part that is no JSON."""

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from fibonacci.errors import SerializationError
from fibonacci.plugin._orjson import orjson
from fibonacci.plugin._runtime.errors import conversion_hint

DEPTH_LIMIT: Final = 254
"""How many containers may stand around a value, an empty container included; orjson's limit."""

DIGITS_LIMIT: Final = 4_300
"""Digits of an int; Python's own limit for reading one back."""

_TOO_LONG: Final = 10**DIGITS_LIMIT


def encode(value: Any, name: str) -> bytes:
    """Return the value as JSON, or raise SerializationError with the path of what is none."""
    walk = _Walk(name)
    plain = walk.plain(value)
    if orjson and not walk.holds_huge:
        written: bytes = orjson.dumps(plain)
        return written
    try:
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise SerializationError(
            f"{_cut(name)} has an int in it with more digits than this process writes: "
            f"see sys.set_int_max_str_digits"
        ) from None
    return (b" " if walk.holds_huge else b"") + text.encode()


def decode(data: bytes) -> Any:
    """Return the value; ValueError where the bytes are no strict JSON."""
    return _decode(_STRICT, data)


def loads(data: bytes) -> Any:
    """Return the value, read as orjson reads it: a number of more than 64 bits is a float."""
    return _decode(_AS_ORJSON, data)


def _decode(reader: json.JSONDecoder, data: bytes) -> Any:
    value = reader.decode(data.decode())
    if b"\\ud" in data.lower():  # half of a surrogate pair, perhaps: that would not encode
        json.dumps(value, ensure_ascii=False).encode()
    return value


@attrs.define
class _Container:
    """A container that the walk is in: what is left of it, and its plain copy so far."""

    source: Any
    parts: Iterator[tuple[str | int, Any]]
    copy: Any
    step: str | int = ""

    def put(self, part: Any) -> None:
        if isinstance(self.copy, list):
            self.copy.append(part)
        else:
            self.copy[self.step] = part


class _Walk:
    """A walk through one value, without recursion; it knows the way to where it stands.

    It looks at what a type inherits from, and takes the contents from the plain type's own methods:
    an object may say anything of its class, and a subclass may show anything as its contents.
    """

    def __init__(self, name: str) -> None:
        self.holds_huge = False
        """Whether there was an int of more than 64 bits: only the standard library has those."""
        self.around = [_Container(None, iter([(name, None)]), [], name)]

    def plain(self, value: Any) -> Any:
        """Copy the value with nothing but the plain types of JSON in it."""
        root = self.around[0]
        self._take(value)
        while len(self.around) > 1:
            inmost = self.around[-1]
            for step, part in inmost.parts:
                if len(self.around) - 1 > DEPTH_LIMIT:
                    raise self._outer_refusal(f"is nested deeper than {DEPTH_LIMIT} containers")
                inmost.step = step
                self._take(part)
                if self.around[-1] is not inmost:
                    break
            else:
                self.around.pop()
        return root.copy[0]

    def _take(self, value: Any) -> None:
        """Put a leaf where it belongs; put an empty copy of a container there, and go inside."""
        kind = type(value)
        if issubclass(kind, dict):
            self._enter(value, self._members(value), {})
        elif issubclass(kind, list | tuple):
            parts = list.__iter__(value) if issubclass(kind, list) else tuple.__iter__(value)
            self._enter(value, enumerate(parts), [])
        else:
            self.around[-1].put(self._leaf(value, kind))

    def _enter(self, value: Any, parts: Iterator[tuple[str | int, Any]], copy: Any) -> None:
        if any(one.source is value for one in self.around):
            raise self._refusal("holds itself, and JSON has no cycles")
        self.around[-1].put(copy)
        self.around.append(_Container(value, parts, copy))

    def _members(self, value: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        # An OrderedDict keeps its order beside that of the dict that it is.
        kind: Any = OrderedDict if issubclass(type(value), OrderedDict) else dict
        for key, part in kind.items(value):
            if not issubclass(type(key), str):
                raise self._outer_refusal(
                    f"has a key of type {type(key).__name__}, and JSON's keys are text: "
                    f"use str() of it"
                )
            plain = str.__str__(key)
            if plain in seen:
                raise self._outer_refusal("has two keys that are the same text")
            fault = lone_surrogate(plain)
            if fault is not None:
                raise self._outer_refusal(
                    f"has a key with half of a surrogate pair, at position {fault}"
                )
            seen.add(plain)
            yield plain, part

    def _leaf(self, value: Any, kind: type) -> Any:
        if value is None or kind is bool:
            return value
        if issubclass(kind, str):
            text = str.__str__(value)
            fault = lone_surrogate(text)
            if fault is not None:
                raise self._refusal(f"has half of a surrogate pair, at position {fault}")
            return text
        if issubclass(kind, int):
            whole = int.__int__(value)
            if not -_TOO_LONG < whole < _TOO_LONG:
                raise self._refusal(f"is an int of over {DIGITS_LIMIT:,} digits")
            self.holds_huge |= _is_huge(whole)
            return whole
        if issubclass(kind, float):
            number = float.__float__(value)
            if not math.isfinite(number):
                name = "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
                raise self._refusal(f"is {name}, for which JSON has no form")
            return number
        refused = f"is of type {kind.__name__}, for which JSON has no form"
        raise self._refusal(refused + conversion_hint(kind))

    def _refusal(self, fault: str) -> SerializationError:
        """The error, with the path: dict keys may stand in it, and nothing else of the value."""
        return SerializationError(f"{path_to([one.step for one in self.around])} {fault}")

    def _outer_refusal(self, fault: str) -> SerializationError:
        """The error for the container that the walk is in, rather than for a part of it."""
        return SerializationError(f"{path_to([one.step for one in self.around[:-1]])} {fault}")


def lone_surrogate(text: str) -> int | None:
    """Return the position of half of a surrogate pair, which UTF-8 has no form for."""
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        return fault.start
    return None


def path_to(steps: list[str | int]) -> str:
    """Return the way to a part, by keys and indexes; the first step is the name of the whole."""
    name, *inner = steps
    shown = [_step(step) for step in inner]
    if len(shown) > 16:
        shown[8:-8] = ["…"]
    return _cut(str(name)) + "".join(shown)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{_cut(step)}" if step.isidentifier() else f"[{_cut(step)!r}]"


def _cut(text: str) -> str:
    short = text if len(text) <= 40 else f"{text[:39]}…"
    return short if short.isprintable() else repr(short)


def decoder(*, strict: bool, whole: Callable[[str], int | float] | None = None) -> json.JSONDecoder:
    """Return what reads JSON alone; unless it is strict, raw control characters in strings, too.

    ``whole`` reads a number without a point, where that is not int().
    """
    return json.JSONDecoder(
        parse_constant=_no_constant, parse_float=_finite, parse_int=whole, strict=strict
    )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _whole(text: str) -> int | float:
    number = int(text)
    return _finite(text) if _is_huge(number) else number


def _is_huge(number: int) -> bool:
    """Say whether orjson can neither write nor read it."""
    return not -(2**63) <= number < 2**64


_STRICT: Final = decoder(strict=True)
_AS_ORJSON: Final = decoder(strict=True, whole=_whole)
