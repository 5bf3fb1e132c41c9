"""The ``sqlite`` backend: memory in one file, durable, shared by processes, with no server."""

from typing import Final

from fibonacci.plugin import Backend, StoreSettings, bool_option, hookimpl, read_options
from fibonacci_sqlite.connection import SYNCHRONOUS, Opening
from fibonacci_sqlite.elsewhere import ELSEWHERE
from fibonacci_sqlite.location import path_of
from fibonacci_sqlite.store import SqliteStore

FIBONACCI_SPEC_VERSION: Final = 1


class SqliteBackend(Backend):
    """Connects to one file, whatever the working directory is by then."""

    def __init__(self, opening: Opening) -> None:
        """Take how to open the file; two spellings of one path share a store."""
        self.opening = opening
        self.identity = opening

    def create_store(self) -> SqliteStore:
        """Return the store; the first operation opens the file."""
        return SqliteStore(self.opening)


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises ConfigurationError.
    """
    readers = {"create": bool_option, "readonly": bool_option, "synchronous": _synchronous}
    options = read_options(settings, readers, ELSEWHERE)
    return SqliteBackend(Opening(path=path_of(settings.url), **options))


def _synchronous(value: object) -> str:
    if value not in SYNCHRONOUS:
        raise ValueError(f"must be {' or '.join(SYNCHRONOUS)}")
    return str(value)
