"""The inputs of an execution, which are validated before anything runs."""

from collections.abc import Mapping
from typing import Any, Final

from fibonacci._memory.strict_json import lone_surrogate, path_to
from fibonacci._workflow.graph import Graph
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin._orjson import dumps, option
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin._runtime.signals import raise_for_signal

_PASS_THROUGH: Final = option("DATACLASS")


def validate_inputs(graph: Graph, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of the inputs. Raises InvalidArgumentError."""
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InvalidArgumentError(
            f"inputs must be a dict of values by name, not {type(inputs).__name__}"
        )
    copy = dict(inputs or {})
    if not all(isinstance(name, str) for name in copy):
        raise InvalidArgumentError("the names of inputs must be text")
    if copy:
        _check_text(copy)
    for name, (reference, text) in graph.inputs.items():
        if name not in copy:
            raise InvalidArgumentError(
                f"the input {name!r} is missing: {text} uses it in line {reference.line}."
                f"{did_you_mean(name, copy)} Pass inputs={{{name!r}: ...}}"
            )
    return copy


def _check_text(inputs: dict[str, Any]) -> None:
    """Refuse text that no memory can store: its node would fail after its model was paid.

    JSON values are searched for it; any other object is for functions, as it is.
    """
    try:
        dumps(inputs, None, _PASS_THROUGH)
    except TypeError as error:  # such text, or something else that is no JSON; or no orjson
        raise_for_signal(error)
        _search(inputs)


_Path = tuple[Any, Any]
"""The path of the container, or None; and the key or index in it."""


def _search(inputs: dict[str, Any]) -> None:
    stack: list[tuple[_Path, Any]] = [((None, "input"), inputs)]
    seen: set[int] = set()
    while stack:
        path, value = stack.pop()
        if issubclass(type(value), str):
            _check_surrogates(value, path, "has")
        elif issubclass(type(value), dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            items = _items(value)
            for key, _ in items:
                if issubclass(type(key), str):
                    _check_surrogates(key, path, "has a key with")
            stack += [((path, key), item) for key, item in reversed(items)]


def _items(value: Any) -> list[tuple[Any, Any]]:
    """Return what a container holds, even if a subclass would return something else."""
    if issubclass(type(value), dict):
        return list(dict.items(value))
    is_list = issubclass(type(value), list)
    return list(enumerate(list.__iter__(value) if is_list else tuple.__iter__(value)))


def _check_surrogates(text: str, path: _Path | None, has: str) -> None:
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
