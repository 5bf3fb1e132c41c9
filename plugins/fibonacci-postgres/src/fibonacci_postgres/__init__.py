"""PostgreSQL as a storage backend: ``MemoryConfig(backend="postgres", connection_url=...)``."""

import attrs

from fibonacci.plugin import AsyncStore, Backend, StoreSettings, hookimpl
from fibonacci.plugin.runtime import require_poll
from fibonacci_postgres.settings import Settings, read_settings

FIBONACCI_SPEC_VERSION = 1


@attrs.frozen
class PostgresBackend(Backend):
    """One table on one server. The driver, which takes 0.2 s to import, waits for the first use."""

    settings: Settings

    def create_store(self) -> AsyncStore:
        from fibonacci_postgres.records import Records
        from fibonacci_postgres.voices import Blocking

        return Records(self.settings, Blocking())

    def create_async_store(self) -> AsyncStore:
        from fibonacci_postgres.records import Records
        from fibonacci_postgres.voices import Looping

        return Records(self.settings, Looping())


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``postgresql://user:password@host/db``."""
    require_poll("postgres")
    return PostgresBackend(read_settings(settings))
