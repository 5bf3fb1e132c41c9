"""What a memory shares with its views, its histories and the memories of runs."""

import attrs

from fibonacci._memory.serializers import RecordSerializer
from fibonacci._memory.store_handle import StoreHandle


@attrs.frozen(kw_only=True)
class MemoryContext:
    """What all of them need to read and write records."""

    handle: StoreHandle
    serializer: RecordSerializer
    timeout: float
    """Seconds for one request."""
    default_ttl_ms: int | None
    """Milliseconds that a new record lives if its writer sets no ttl; None: for ever."""
