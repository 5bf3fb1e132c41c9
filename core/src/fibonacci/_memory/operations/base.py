"""What all operations share: addresses, a serializer and a store."""

from copy import copy
from time import monotonic
from typing import Any, Self

from fibonacci._memory.addresses import AddressResolver
from fibonacci._memory.context import MemoryContext
from fibonacci._memory.expiry import TTL, ttl_to_ms


class BaseOperations:
    """The base of the classes that define the operations."""

    _sync_view: Self
    """The same object over the blocking store: its coroutines never suspend."""

    def __init__(self, addresses: AddressResolver, context: MemoryContext) -> None:
        self._context = context
        self._resolve_space = addresses.resolve_space
        self._resolve_whole_space = addresses.resolve_whole_space
        self._resolve_address = addresses.resolve
        self._serialize = context.serializer.serialize
        self._deserialize = context.serializer.deserialize
        self._timeout = context.timeout
        self._handle: Any = context.handle
        # The attributes that a subclass's repr needs are set by now: the copy is in the frames of
        # each traceback.
        view: Any = copy(self)
        view._handle = context.handle.sync
        self._sync_view = view

    def _deadline(self) -> float:
        return monotonic() + self._timeout

    def _ttl_ms(self, ttl: TTL | None) -> int | None:
        """The ttl of a new record: the argument, else the memory's default, else none."""
        return self._context.default_ttl_ms if ttl is None else ttl_to_ms(ttl)
