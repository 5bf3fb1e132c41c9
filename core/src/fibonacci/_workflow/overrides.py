"""Models that answer in place of others, by the names that nodes ask for: for tests."""

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
    """A model, and the names that it answers to."""

    pattern: str
    model: Model

    def answers_to(self, name: str) -> bool:
        """Say whether it stands in for the model of this name."""
        return name == self.pattern or fnmatchcase(name, self.pattern)


Overrides = tuple[Override, ...]

_lock: Final = Lock()
_now: Overrides = ()


def overrides() -> Overrides:
    """Return those that are in force in this process, the last one first."""
    return _now


@contextmanager
def overridden(name: str, model: str | Model | Callable[[ModelRequest], Any]) -> Iterator[None]:
    """Have this model answer to a name, or to the names that match a pattern."""
    global _now
    _check(name, model)
    override = Override(name, find_model(model))
    with _lock:
        _now = (override, *_now)
    try:
        yield
    finally:
        with _lock:
            _now = tuple(one for one in _now if one is not override)


def _check(name: Any, model: Any) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidArgumentError(
            "the model to override is named by text, as in its node: 'claude-sonnet-5-5', "
            "or a pattern such as 'claude-*'"
        )
    kind = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
    if isinstance(model, type) or not (isinstance(model, Model | str) or callable(model)):
        raise InvalidArgumentError(
            f"{name!r} can be overridden by a Model, a function or the name of another model, "
            f"not by {kind}"
        )
