"""The ``mariadb`` backend, an example: records in a table, by a blocking and an async driver."""

import attrs

from fibonacci.plugin import AsyncStore, Backend, StoreSettings, hookimpl
from fibonacci.plugin.runtime import require_poll
from fibonacci_mariadb.settings import Settings, read_settings

FIBONACCI_SPEC_VERSION = 1


@attrs.frozen
class MariadbBackend(Backend):
    """One table of one database. Its drivers are imported when a store is created."""

    settings: Settings

    def create_store(self) -> AsyncStore:
        """Return the store over connections that block: its coroutines never suspend."""
        from fibonacci_mariadb.blocking import BlockingDriver
        from fibonacci_mariadb.store import MariadbStore

        return MariadbStore(self.settings, BlockingDriver(self.settings))

    def create_async_store(self) -> AsyncStore:
        """Return the same store over connections that await."""
        from fibonacci_mariadb.awaiting import AwaitingDriver
        from fibonacci_mariadb.store import MariadbStore

        return MariadbStore(self.settings, AwaitingDriver(self.settings))


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``mariadb://user:password@host/database``.

    Raises ConfigurationError.
    """
    require_poll("mariadb")
    return MariadbBackend(read_settings(settings))
