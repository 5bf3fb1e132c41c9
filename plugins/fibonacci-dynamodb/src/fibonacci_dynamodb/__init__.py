"""Amazon DynamoDB as a storage backend: ``MemoryConfig("dynamodb", "dynamodb://region")``."""

# boto3 imports it, perhaps in the first call; it can't be imported while Python shuts down.
import concurrent.futures.thread  # noqa: F401
from typing import Final

import attrs

from fibonacci.plugin import Backend, Store, StoreSettings, hookimpl
from fibonacci.plugin.runtime import require_poll
from fibonacci_dynamodb.settings import Settings, read_settings

FIBONACCI_SPEC_VERSION: Final = 1


@attrs.frozen
class DynamoBackend(Backend):
    """One table. boto3, which takes half a second to import, is imported by ``create_store``."""

    settings: Settings

    def create_store(self) -> Store:
        from fibonacci_dynamodb.store import DynamoStore

        return DynamoStore(self.settings)


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``dynamodb://region``."""
    require_poll("dynamodb")
    return DynamoBackend(read_settings(settings))
