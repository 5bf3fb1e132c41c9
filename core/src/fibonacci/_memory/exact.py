"""The exact way: a walk that makes a value plain, or names the part that is no JSON."""

import json
import math
from typing import Any, Final

import orjson

from fibonacci.errors import SerializationError

DEPTH_LIMIT: Final = 254
"""How deep containers may nest; orjson's own limit."""

DIGITS_LIMIT: Final = 4_300
"""Digits of an int; Python's own limit for reading one back."""

_TOO_LONG: Final = 10**DIGITS_LIMIT

_ADVICE: Final = {
    "bytes": "encode it as text, in base64 for instance",
    "bytearray": "encode it as text, in base64 for instance",
    "set": "make it a sorted list",
    "frozenset": "make it a sorted list",
    "datetime": "use its .isoformat()",
    "date": "use its .isoformat()",
    "time": "use its .isoformat()",
    "UUID": "use str() of it",
    "Decimal": "use str() of it",
    "ndarray": "use its .tolist()",
}


def encode(value: Any, name: str) -> bytes:
    """Return the value as JSON, or raise SerializationError with the path of what is none."""
    walk = _Walk(name)
    try:
        plain = walk.plain(value)
    except RecursionError:
        raise walk.refusal("is nested too deep for what is left of Python's stack") from None
    try:
        return orjson.dumps(plain)
    except TypeError:  # an int beyond 64 bits: only the standard library writes and reads it
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return b" " + text.encode()


def decode(data: bytes) -> Any:
    """Return the value; ValueError where the bytes are no strict JSON."""
    return json.loads(data.decode(), parse_constant=_no_constant, parse_float=_finite)


class _Walk:
    """A walk through one value; it knows the way to where it stands."""

    def __init__(self, name: str) -> None:
        self.steps: list[str | int] = [name]
        self.around: set[int] = set()

    def plain(self, value: Any) -> Any:
        """Copy the value with nothing but the plain types of JSON in it."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value, "has")
        if isinstance(value, int):
            return self.whole(value)
        if isinstance(value, float):
            return self.fraction(value)
        if isinstance(value, dict | list | tuple):
            return self.container(value)
        kind = type(value).__name__
        advice = f": {_ADVICE[kind]}" if kind in _ADVICE else ""
        raise self.refusal(f"is of type {kind}, for which JSON has no form{advice}")

    def container(self, value: Any) -> Any:
        if id(value) in self.around:
            raise self.refusal("holds itself, and JSON has no cycles")
        if len(self.around) == DEPTH_LIMIT:
            raise self.refusal(f"is nested deeper than {DEPTH_LIMIT} containers")
        self.around.add(id(value))
        if isinstance(value, dict):
            copy: Any = self.members(value)
        else:
            parts = tuple.__iter__(value) if isinstance(value, tuple) else list.__iter__(value)
            copy = [self.part(index, part) for index, part in enumerate(parts)]
        self.around.discard(id(value))
        return copy

    def members(self, value: dict[Any, Any]) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for key, part in value.items():
            if not isinstance(key, str):
                raise self.refusal(
                    f"has a key of type {type(key).__name__}, and JSON's keys are text"
                )
            plain = self.text(key, "has a key with")
            if plain in copy:
                raise self.refusal("has two keys that are the same text")
            copy[plain] = self.part(plain, part)
        return copy

    def part(self, step: str | int, value: Any) -> Any:
        self.steps.append(step)
        copy = self.plain(value)
        self.steps.pop()
        return copy

    def text(self, value: str, verb: str) -> str:
        value = str.__str__(value)
        try:
            value.encode()
        except UnicodeEncodeError as fault:
            raise self.refusal(
                f"{verb} half of a surrogate pair, at position {fault.start}"
            ) from None
        return value

    def whole(self, value: int) -> int:
        value = int.__int__(value)
        if not -_TOO_LONG < value < _TOO_LONG:
            raise self.refusal(f"is an int of over {DIGITS_LIMIT:,} digits")
        return value

    def fraction(self, value: float) -> float:
        value = float.__float__(value)
        if not math.isfinite(value):
            name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            raise self.refusal(f"is {name}, for which JSON has no form")
        return value

    def refusal(self, fault: str) -> SerializationError:
        """The error, with the path: dict keys may stand in it, and nothing else of the value."""
        name, *steps = self.steps
        return SerializationError(f"{_cut(str(name))}{''.join(map(_step, steps))} {fault}")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{_cut(step)}" if step.isidentifier() else f"[{_cut(step)!r}]"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number
