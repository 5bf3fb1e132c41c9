"""Models that replace others, by the names that nodes use: for tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, Final

import attrs

from fibonacci._workflow.models import find_model
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin.models import Model, ModelRequest


@attrs.frozen(eq=False)
class Override:
    """A model, and the names for which it is used."""

    pattern: str
    model: Model

    def matches(self, name: str) -> bool:
        """Return whether it replaces the model of this name."""
        return name == self.pattern or fnmatchcase(name, self.pattern)


Overrides = tuple[Override, ...]

_lock: Final = Lock()
_current: Overrides = ()


def current_overrides() -> Overrides:
    """Return those that are in force in this process, the newest first."""
    return _current


@contextmanager
def install_override(
    name: str, model: str | Model | Callable[[ModelRequest], Any]
) -> Iterator[None]:
    """Use this model for a name, or for the names that match a pattern."""
    global _current
    _check(name, model)
    override = Override(name, find_model(model))
    with _lock:
        _current = (override, *_current)
    try:
        yield
    finally:
        with _lock:
            _current = tuple(other for other in _current if other is not override)


def _check(name: Any, model: Any) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidArgumentError(
            "the model to override must be a name, as its node has it: 'claude-sonnet-5-5', "
            "or a pattern such as 'claude-*'"
        )
    replacement = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
    if isinstance(model, type) or not (isinstance(model, Model | str) or callable(model)):
        raise InvalidArgumentError(
            f"{name!r} can be overridden by a Model, a function or the name of another model, "
            f"not by {replacement}"
        )
