"""Retry: how many attempts a node has, after which errors, and how long it waits between them."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from random import SystemRandom
from typing import Any, Final

import attrs

from fibonacci._memory.numbers import MAX_TIMEOUT, is_count, is_number
from fibonacci.errors import (
    BackendUnavailableError,
    ConflictError,
    FibonacciError,
    ModelError,
    WorkflowValidationError,
)

On = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Which exceptions: a class or several, as ``except`` takes them, or a predicate."""

MAX_BACKOFF: Final = 60.0
"""Seconds: no wait grows beyond it, unless a provider requests a longer one."""

MAX_RETRY_AFTER: Final = 3_600.0
"""Seconds: a node fails instead of waiting longer, whatever a provider requests."""

_random: Final = SystemRandom()
"""Not the functions of `random`: they would disturb a sequence that the application has seeded."""


def _check_seconds(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not is_number(value) or not 0 <= value < MAX_TIMEOUT:
        raise WorkflowValidationError(
            f"{attribute.name} must be a number of seconds, from 0 to a day"
        )


def _check_attempts(_: Any, __: Any, value: Any) -> None:
    if not is_count(value) or value > 100:
        raise WorkflowValidationError("retry takes from 1 to 100 attempts, as a whole number")


def _check_share(_: Any, __: Any, value: Any) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise WorkflowValidationError("jitter must be a number from 0 to 1")


def _check_on(_: Any, __: Any, value: Any) -> None:
    classes = value if isinstance(value, tuple) else (value,)
    if isinstance(value, tuple | type):
        is_valid = bool(classes) and all(_is_exception_class(item) for item in classes)
    else:
        is_valid = value is None or (callable(value) and not _is_coroutine_function(value))
    if not is_valid:
        raise WorkflowValidationError(
            "on must be an exception class such as KeyError, a tuple of them, or a sync function "
            "that takes an exception and returns whether to retry"
        )


def _is_coroutine_function(value: Any) -> bool:
    return iscoroutinefunction(value) or iscoroutinefunction(type(value).__call__)


def _is_exception_class(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


@attrs.frozen(kw_only=True)
class Retry:
    """How many attempts a node has, and after which errors: the next one may well succeed.

    Memory is written after the attempt that succeeds, and only then. A wait between two attempts
    is at most a minute, unless a provider requests a longer one.

    Args:
        attempts: how many in all, the first included: 1 to 100.
        backoff: seconds to wait before the second attempt; each further wait is twice as long.
        jitter: the share of each wait that is random, from 0 to 1, so that many runs get out of
            step.
        on: which exceptions are followed by another attempt: a class, a tuple of them, or a sync
            function that takes the exception and returns whether to retry. None: those that may be
            transient, and no programming errors (``KeyError``, ``TypeError``, ``ValueError`` and
            the like).

    Raises WorkflowValidationError.
    """

    attempts: int = attrs.field(default=3, validator=_check_attempts)
    backoff: float = attrs.field(default=0.5, validator=_check_seconds)
    jitter: float = attrs.field(default=0.5, validator=_check_share)
    on: On | None = attrs.field(default=None, validator=_check_on)

    def applies_to(self, error: Exception) -> bool:
        """Return whether another attempt may follow this error.

        Args:
            error: what the attempt raised.
        """
        if self.on is None:
            return is_retryable(error)
        if isinstance(self.on, type | tuple):
            return isinstance(error, self.on)
        return bool(self.on(error))

    def pause(self, attempt: int, error: Exception) -> float:
        """Return the seconds to wait after an attempt; a provider may have requested more.

        Args:
            attempt: the number of the attempt that failed, from 1.
            error: what it raised.
        """
        longest: float = min(self.backoff * 2 ** (attempt - 1), MAX_BACKOFF)
        chosen = longest * (1 - self.jitter * _random.random())
        requested = error.retry_after if isinstance(error, ModelError) else None
        return max(chosen, requested or 0.0)


NO_RETRY: Final = Retry(attempts=1)


def to_retry(value: int | Retry | None) -> Retry:
    """Return the Retry of a node: of a number of attempts, or of None for one attempt."""
    if value is None:
        return NO_RETRY
    return value if isinstance(value, Retry) else Retry(attempts=value)


_PROGRAMMING_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    ReferenceError,
    StopAsyncIteration,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
)
"""What Python raises if the program or its input is wrong: the next attempt would raise it too."""

_PERMANENT_OS_ERRORS: Final = {"SSLCertVerificationError", "UnsupportedOperation"}
"""By name, as importing ``ssl`` takes time."""


def is_retryable(error: Exception) -> bool:
    """Return whether the error may be transient: the same work may succeed a little later.

    What is neither ours nor a programming error counts as transient: a client's own exceptions,
    most of which are about the network, have nothing in common but ``Exception``.
    """
    if isinstance(error, ModelError):
        return error.retryable
    if isinstance(error, FibonacciError):
        # Nothing was written. All others are about arguments, settings or stored bytes, or the
        # write may have been applied: OutcomeUnknownError.
        return isinstance(error, BackendUnavailableError | ConflictError)
    if isinstance(error, ExceptionGroup):
        return all(map(is_retryable, error.exceptions))
    names = {base.__name__ for base in type(error).__mro__}
    if isinstance(error, OSError) and names.isdisjoint(_PERMANENT_OS_ERRORS):
        return True  # also if it is a ValueError: a response that is not JSON, in requests
    return not isinstance(error, _PROGRAMMING_ERRORS)
