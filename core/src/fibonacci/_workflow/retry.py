"""Retry: how often a node is tried, after what, and how long it waits in between."""

import random
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final

import attrs

from fibonacci._workflow.transient import is_transient
from fibonacci.errors import ModelError, WorkflowValidationError

On = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Which exceptions: a class or several, as ``except`` takes them, or a function that says."""

LONGEST_PAUSE: Final = 60.0
"""Seconds: no pause grows beyond it, unless a provider asks for a longer one."""


def _seconds(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 86_400:
        raise WorkflowValidationError(
            f"{attribute.name} must be a number of seconds, from 0 to a day"
        )


def _attempts(_: Any, __: Any, value: Any) -> None:
    if type(value) is not int or not 1 <= value <= 100:
        raise WorkflowValidationError("retry takes from 1 to 100 attempts, as a whole number")


def _share(_: Any, __: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise WorkflowValidationError("jitter must be a number from 0 to 1")


def _on(_: Any, __: Any, value: Any) -> None:
    classes = value if isinstance(value, tuple) else (value,)
    if isinstance(value, tuple | type):
        fits = bool(classes) and all(_is_exception(one) for one in classes)
    else:
        fits = value is None or (callable(value) and not _is_async(value))
    if not fits:
        raise WorkflowValidationError(
            "on must be a class of exceptions such as KeyError, a tuple of them, or a plain "
            "function that takes an exception and says whether to try again"
        )


def _is_async(given: Any) -> bool:
    return iscoroutinefunction(given) or iscoroutinefunction(type(given).__call__)


def _is_exception(given: Any) -> bool:
    return isinstance(given, type) and issubclass(given, Exception)


@attrs.frozen(kw_only=True)
class Retry:
    """How often a node is tried, and after what: a model or a function may do it the second time.

    Memory is written after the attempt that succeeds, and only then.
    Raises WorkflowValidationError.
    """

    attempts: int = attrs.field(default=3, validator=_attempts)
    """In all, the first included."""
    backoff: float = attrs.field(default=0.5, validator=_seconds)
    """Seconds to wait before the second attempt; each further pause is twice as long."""
    jitter: float = attrs.field(default=0.5, validator=_share)
    """The part of each pause that is left to chance, so that many runs get out of step."""
    on: On | None = attrs.field(default=None, validator=_on)
    """Which exceptions are followed by another attempt: a class, a tuple of them, or a function of
    the exception. None: those that may pass by themselves, and no mistakes of the program
    (``KeyError``, ``TypeError``, ``ValueError`` and the like)."""

    def applies_to(self, fault: Exception) -> bool:
        """Say whether another attempt may follow this fault."""
        if self.on is None:
            return is_transient(fault)
        if isinstance(self.on, type | tuple):
            return isinstance(fault, self.on)
        return bool(self.on(fault))

    def pause(self, attempt: int, fault: Exception) -> float:
        """Return the seconds to wait after this attempt; a provider may have asked for more."""
        longest: float = min(self.backoff * 2 ** (attempt - 1), LONGEST_PAUSE)
        chosen = longest * (1 - self.jitter * random.random())  # noqa: S311 - no secret
        asked = fault.retry_after if isinstance(fault, ModelError) else None
        return max(chosen, asked or 0.0)


ONCE: Final = Retry(attempts=1)


def checked_retry(given: int | Retry | None) -> Retry:
    """Return the retry that a node was given: a number of attempts, a Retry, or None for one."""
    if given is None:
        return ONCE
    return given if isinstance(given, Retry) else Retry(attempts=given)
