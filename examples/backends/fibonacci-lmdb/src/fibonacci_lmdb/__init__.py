"""The ``lmdb`` backend, an example: records in a file that processes share."""

import os
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import Backend, StoreSettings, hookimpl, read_options, read_url
from fibonacci_lmdb.store import LmdbStore

FIBONACCI_SPEC_VERSION: Final = 1

_FORM: Final = "lmdb:///relative/file.mdb or lmdb:////absolute/file.mdb with four slashes"


class LmdbBackend(Backend):
    """Opens one file, independent of later changes of the working directory."""

    def __init__(self, path: str) -> None:
        """Store the absolute path; two spellings of it share a store."""
        self.path = self.identity = path

    def create_store(self) -> LmdbStore:
        """Return the store; the first operation opens the file."""
        return LmdbStore(self.path)


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``lmdb:///file.mdb``. Raises ConfigurationError."""
    read_options(settings, {})
    return LmdbBackend(_path(settings))


def _path(settings: StoreSettings) -> str:
    path = read_url(settings, _FORM).path.removeprefix("/")
    if not os.path.basename(path):
        raise ConfigurationError(f"the connection URL's path names no file: write {_FORM}")
    return os.path.abspath(path)
