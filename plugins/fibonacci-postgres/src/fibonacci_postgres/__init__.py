"""PostgreSQL as a storage backend: ``MemoryConfig(backend="postgres", connection_url=...)``."""

import attrs

from fibonacci.plugin import AsyncStore, Backend, StoreSettings, hookimpl
from fibonacci.plugin.runtime import require_poll
from fibonacci_postgres.settings import Settings, read_settings

FIBONACCI_SPEC_VERSION = 1


@attrs.frozen
class PostgresBackend(Backend):
    """One table on one server. The driver takes 0.2 s to import, so the first use imports it."""

    settings: Settings

    def create_store(self) -> AsyncStore:
        from fibonacci_postgres.store import PostgresStore
        from fibonacci_postgres.waiting import BlockingWait

        return PostgresStore(self.settings, BlockingWait())

    def create_async_store(self) -> AsyncStore:
        from fibonacci_postgres.store import PostgresStore
        from fibonacci_postgres.waiting import AsyncWait

        return PostgresStore(self.settings, AsyncWait())


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``postgresql://user:password@host/db``."""
    require_poll("postgres")
    return PostgresBackend(read_settings(settings))
