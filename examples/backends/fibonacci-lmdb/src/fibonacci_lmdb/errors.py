"""LMDB's errors, mapped to ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import lmdb

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError


@contextmanager
def map_errors(path: str, *, change: bool = False) -> Iterator[None]:
    """Raise StorageError or a subclass for what LMDB raises in the block."""
    try:
        yield
    except lmdb.MapFullError as error:
        raise StorageError(
            f"the file {path} is full, and nothing was written: delete what is not needed"
        ) from error
    except lmdb.Error as error:
        kind = OutcomeUnknownError if change else BackendUnavailableError
        raise kind(f"the file {path} could not be used: {error}") from error
