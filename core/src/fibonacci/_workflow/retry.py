"""Retry: how often a node is tried, and how long it waits in between."""

import random
from typing import Any, Final

import attrs

from fibonacci.errors import FibonacciError, ModelError, StorageError, WorkflowValidationError

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


@attrs.frozen(kw_only=True)
class Retry:
    """How often a node is tried: what a model or a function can't do once, it may do again.

    Memory is written after the attempt that succeeds, and only then.
    """

    attempts: int = attrs.field(default=3, validator=_attempts)
    """In all, the first included."""
    backoff: float = attrs.field(default=0.5, validator=_seconds)
    """Seconds to wait before the second attempt; each further pause is twice as long."""
    jitter: float = attrs.field(default=0.5, validator=_share)
    """The part of each pause that is left to chance, so that many runs get out of step."""

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


def may_succeed(fault: Exception) -> bool:
    """Say whether another attempt may end better than in this fault."""
    if isinstance(fault, ModelError):
        return fault.retryable
    # What else is in our tree is about arguments, settings or stored bytes: it stays as it is.
    return isinstance(fault, StorageError) or not isinstance(fault, FibonacciError)
