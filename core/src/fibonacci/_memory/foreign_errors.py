"""What a backend raises that is none of Fibonacci's errors: a driver's exception, or a defect.

It becomes a StorageError, so that ``except FibonacciError`` catches every failure of a store. The
new error has the type and the position of the exception, and never its text: a driver's may quote
the URL with the password, a key or a value. So it does not chain the exception either.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from fibonacci.errors import FibonacciError, StorageError
from fibonacci.plugin._runtime.errors import error_origin
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.address import Address, Space

T = TypeVar("T")

_READS: Final = {"read", "read_many", "exists", "remaining_ttl_ms", "scan", "check_size"}


def translate_errors(action: str, call: Callable[[], T]) -> T:
    """Call a function of a backend; raise StorageError for an exception of any other library."""
    try:
        return call()
    except FibonacciError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a backend raises
        raise_for_signal(error)
        origin = error_origin(error)
    raise StorageError(f"the backend failed to {action}: {origin}")


def foreign_error(method: str, args: Sequence[Any], origin: str) -> StorageError:
    """Return the error for a method of a store that raised an exception of this origin.

    Raise it outside the ``except`` block, or its context would be the exception.
    """
    if method == "close":
        return StorageError(f"the backend failed to close: {origin}")
    # Nobody knows which step of the method raised it: no retry, and no guess at the outcome.
    outcome = "failed" if method in _READS else "failed, and may have been applied"
    return StorageError(
        f"{describe_request(method, args)} {outcome}: the backend raised {origin}, instead of one "
        f"of Fibonacci's errors. This is a defect of the backend: report it to its authors"
    )


def describe_request(method: str, args: Sequence[Any]) -> str:
    """Return what a log may say of a request: neither a record's key nor a user's id (C23)."""
    target = args[0] if args else ()
    if isinstance(target, Address):
        return f"{method} of a record in {target.space.scope} scope"
    if isinstance(target, Space):
        return f"{method} of {target.scope} scope"
    return f"{method} of {len(target)} records"
