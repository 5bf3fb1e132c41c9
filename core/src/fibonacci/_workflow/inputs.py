"""The inputs of an execution: all that can be wrong with them is told before anything runs."""

from collections.abc import Mapping
from typing import Any, Final

from fibonacci._memory.exact import lone_surrogate, path_to
from fibonacci._workflow.graph import Graph
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin._orjson import dumps, option
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin._runtime.signals import raise_for_signal

_PASSED: Final = option("DATACLASS")


def checked_inputs(graph: Graph, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of the inputs. Raises InvalidArgumentError."""
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InvalidArgumentError(
            f"inputs must be a dict of values by name, not {type(inputs).__name__}"
        )
    given = dict(inputs or {})
    if not all(isinstance(name, str) for name in given):
        raise InvalidArgumentError("inputs must have text as names")
    if given:
        _check_text(given)
    for name, (reference, text) in graph.inputs.items():
        if name not in given:
            raise InvalidArgumentError(
                f"the input {name!r} is missing: {text} asks for it in line {reference.line}."
                f"{did_you_mean(name, given)} Pass inputs={{{name!r}: ...}}"
            )
    return given


def _check_text(given: dict[str, Any]) -> None:
    """Refuse text that no memory can store: a model would be asked, and the turn be lost.

    What memory could store is looked through; any other object is for functions, as it is.
    """
    try:
        dumps(given, None, _PASSED)
    except TypeError as fault:  # such text, or something else that is no JSON; or no orjson
        raise_for_signal(fault)
        _look_through(given)


_Path = tuple[Any, Any]
"""The path of what is around, or None; and the key or index from there."""


def _look_through(given: dict[str, Any]) -> None:
    left: list[tuple[_Path, Any]] = [((None, "input"), given)]
    seen: set[int] = set()
    while left:
        path, value = left.pop()
        if issubclass(type(value), str):
            _check_one(value, path, "has")
        elif issubclass(type(value), dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            parts = _parts(value)
            for key, _ in parts:
                if issubclass(type(key), str):
                    _check_one(key, path, "has a key with")
            left += [((path, key), part) for key, part in reversed(parts)]


def _parts(value: Any) -> list[tuple[Any, Any]]:
    """What a plain container holds, whatever a subclass would show."""
    kind = type(value)
    if issubclass(kind, dict):
        return list(dict.items(value))
    parts = list.__iter__(value) if issubclass(kind, list) else tuple.__iter__(value)
    return list(enumerate(parts))


def _check_one(text: str, path: _Path | None, has: str) -> None:
    position = lone_surrogate(text)
    if position is None:
        return
    steps: list[str | int] = []
    while path is not None:
        path, key = path
        steps.append(key if issubclass(type(key), str | int) else f"<{type(key).__name__}>")
    raise InvalidArgumentError(
        f"{path_to(steps[::-1])} {has} half of a surrogate pair, at position {position}, which "
        f'can\'t be stored: pass text.encode(errors="replace").decode()'
    )
