"""The library's errors, told as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import lmdb

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError


@contextmanager
def told(path: str, *, change: bool = False) -> Iterator[None]:
    """Raise StorageError, or one of those below it, for what LMDB raises in the block."""
    try:
        yield
    except lmdb.MapFullError as fault:
        raise StorageError(
            f"the file {path} is full, and nothing was written: clear what is not needed"
        ) from fault
    except lmdb.Error as fault:
        kind = OutcomeUnknownError if change else BackendUnavailableError
        raise kind(f"the file {path} could not be used: {fault}") from fault
