"""PostgreSQL as a storage backend: ``MemoryConfig(backend="postgres", connection_url=...)``."""

import attrs

from fibonacci.plugin import AsyncStore, Backend, Store, StoreSettings, hookimpl
from fibonacci_postgres.settings import Settings, read_settings

FIBONACCI_SPEC_VERSION = 1


@attrs.frozen
class PostgresBackend(Backend):
    """One table on one server. The driver, which takes 0.2 s to import, waits for the first use."""

    settings: Settings

    def connect(self) -> Store:
        from fibonacci_postgres.store import connect

        return connect(self.settings)

    def aconnect(self) -> AsyncStore:
        from fibonacci_postgres.store import aconnect

        return aconnect(self.settings)


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``postgresql://user:password@host/db``."""
    return PostgresBackend(read_settings(settings))
