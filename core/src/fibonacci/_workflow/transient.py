"""Which faults may pass by themselves: what a Retry tries again unless it is told otherwise."""

from typing import Final

from fibonacci.errors import (
    BackendUnavailableError,
    ConflictError,
    FibonacciError,
    ModelError,
)

_MISTAKES: Final = (
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
"""What Python raises where the program, or what it was given, is wrong: the same the next time."""


_LASTING: Final = {"SSLCertVerificationError", "UnsupportedOperation"}
"""Errors of the system that stay; by name, as to import ``ssl`` takes time."""


def is_transient(fault: Exception) -> bool:
    """Say whether the same work may succeed a little later.

    What is not ours and no mistake counts as transient: a client's own exceptions, which are mostly
    about the network, have nothing in common but ``Exception``.
    """
    if isinstance(fault, ModelError):
        return fault.retryable
    if isinstance(fault, FibonacciError):
        # Nothing was written. All else is about arguments, settings or stored bytes, or may have
        # been applied already: OutcomeUnknownError.
        return isinstance(fault, BackendUnavailableError | ConflictError)
    if isinstance(fault, ExceptionGroup):
        return all(map(is_transient, fault.exceptions))
    names = {base.__name__ for base in type(fault).__mro__}
    if isinstance(fault, OSError) and names.isdisjoint(_LASTING):
        return True  # also if it is a mistake: an answer that is no JSON, in the package requests
    return not isinstance(fault, _MISTAKES)
