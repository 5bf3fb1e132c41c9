"""The ``sqlite`` backend: memory in one file, durable, shared by processes, with no server."""

from typing import Final

from fibonacci.plugin import Backend, StoreSettings, hookimpl
from fibonacci_sqlite.settings import ConnectionOptions, read_settings
from fibonacci_sqlite.store import SqliteStore

FIBONACCI_SPEC_VERSION: Final = 1


class SqliteBackend(Backend):
    """Opens one file, wherever the working directory is by then."""

    def __init__(self, options: ConnectionOptions) -> None:
        """Take the options; two spellings of one path share a store."""
        self.options = options
        self.identity = options

    def create_store(self) -> SqliteStore:
        """Return the store; the first operation opens the file."""
        return SqliteStore(self.options)


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises ConfigurationError.
    """
    return SqliteBackend(read_settings(settings))
