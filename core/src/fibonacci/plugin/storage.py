"""What a storage plugin provides: a backend, and the store that it connects to.

Bytes in, bytes out. Rules live above (JSON, patterns, limits, encryption, what a ttl may be); I/O
lives here. Seven primitives are enough for a store that keeps the whole contract; every other
method has a default built on them, correct and slower, which a backend may override.

``deadline`` is a reading of ``time.monotonic()``, in seconds. An operation that misses it raises
BackendUnavailableError if it surely was not applied, OutcomeUnknownError if it may have been.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import attrs

from fibonacci.plugin._async_store import ABSENT, KEEP_TTL, Absent, AsyncStore, KeepTTL, Page
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Address, Space
from fibonacci.plugin.url import StoreURL

__all__ = [
    "ABSENT",
    "KEEP_TTL",
    "Absent",
    "AsyncStore",
    "Backend",
    "BlockingStore",
    "KeepTTL",
    "Page",
    "Store",
    "StoreSettings",
]


@attrs.frozen(kw_only=True)
class StoreSettings:
    """What core hands to ``fibonacci_storage``: no key prefix, no encryption key."""

    url: StoreURL | None
    """The connection URL, parsed; its repr and its ``str`` mask the password."""
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """The backend's own options; more of them may stand in :attr:`StoreURL.query`, and
    :func:`read_options` reads both."""
    timeout: float = 5.0
    """Seconds that one request may take, connecting included."""


class Store(ABC):
    """A store in the sync voice. One object serves all threads of one process."""

    clock: Literal["server", "client"] = "server"
    """Whose clock decides that a record has expired."""
    retry_transient_errors: bool = True
    """Whether its faults may pass by waiting, as those of a server. Core asks such a store again,
    until the deadline: each read, each write that surely was not applied, and a lost ``write``,
    ``write_many``, ``touch`` or ``clear``. A store itself tries once."""
    _in_process: bool = False

    @abstractmethod
    def read(self, address: Address, *, deadline: float) -> bytes | None:
        """Return the live record's bytes, or None."""

    @abstractmethod
    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        """Create or replace the record, its expiry too: gone in ``ttl_ms``, or never (None)."""

    @abstractmethod
    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        """Write if the live record's bytes are ``expected``; say whether it was written.

        The comparison and the write are one atomic step. A lost answer is an OutcomeUnknownError,
        never a second try.
        """

    @abstractmethod
    def remove(self, address: Address, *, deadline: float) -> bool:
        """Remove the record; say whether a live one went."""

    @abstractmethod
    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        """Return the milliseconds until the live record expires; None if it never does."""

    @abstractmethod
    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        """Return the next page of the space's live keys that start with ``prefix``.

        Following the cursors lists each key that was live all the while exactly once, in
        code-point order; a page has at most ``limit`` keys. A physical key that does not decode to
        a key of this space was written by somebody else: it is left out, and is no error.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of all connections. A store that is used afterwards may fail, or connect anew."""

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        """Read records of any spaces; the answers stand in the order asked."""
        return run_sync(AsyncStore.read_many(BlockingStore(self), addresses, deadline=deadline))

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        """Write records in any spaces, each of them whole; the batch is no transaction."""
        run_sync(AsyncStore.write_many(BlockingStore(self), items, ttl_ms, deadline=deadline))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        """Remove records of any spaces; return how many live ones went."""
        return run_sync(AsyncStore.remove_many(BlockingStore(self), addresses, deadline=deadline))

    def exists(self, address: Address, *, deadline: float) -> bool:
        """Say whether there is a live record."""
        return run_sync(AsyncStore.exists(BlockingStore(self), address, deadline=deadline))

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        """Give the live record a new expiry and leave its bytes; say whether there was one."""
        return run_sync(AsyncStore.touch(BlockingStore(self), address, ttl_ms, deadline=deadline))

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        """Remove the space's next records, in key order; return where to go on, or None.

        Core follows the cursors until None, with a fresh deadline for each step, so a step is one
        bounded request. In the end each record that was there at the start is gone or rewritten.
        What ``scan`` leaves out may be removed or stay.
        """
        return run_sync(
            AsyncStore.clear(BlockingStore(self), space, cursor=cursor, deadline=deadline)
        )


class BlockingStore(AsyncStore):
    """A sync store as an AsyncStore whose coroutines block, and never suspend."""

    _is_blocking = True

    def __init__(self, store: Store) -> None:
        """Wrap the store."""
        self.store = store
        self.retry_transient_errors = store.retry_transient_errors
        self._in_process = store._in_process

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        return self.store.read(address, deadline=deadline)

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        self.store.write(address, data, ttl_ms, deadline=deadline)

    async def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        return self.store.compare_and_set(address, expected, data, ttl_ms, deadline=deadline)

    async def remove(self, address: Address, *, deadline: float) -> bool:
        return self.store.remove(address, deadline=deadline)

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        return self.store.remaining_ttl_ms(address, deadline=deadline)

    async def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        return self.store.scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)

    async def close(self) -> None:
        self.store.close()

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        return self.store.read_many(addresses, deadline=deadline)

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        self.store.write_many(items, ttl_ms, deadline=deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        return self.store.remove_many(addresses, deadline=deadline)

    async def exists(self, address: Address, *, deadline: float) -> bool:
        return self.store.exists(address, deadline=deadline)

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return self.store.touch(address, ttl_ms, deadline=deadline)

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        return self.store.clear(space, cursor=cursor, deadline=deadline)


class Backend(ABC):
    """What ``fibonacci_storage`` returns: it has checked URL and options, and did no I/O."""

    identity: Hashable = None
    """What tells this backend's store from others of the plugin: workflows with an equal one, and
    the same timeout, share a store. None: the URL and the options as they were written, which is
    right but where two spellings mean one place, or one spelling two."""

    @abstractmethod
    def create_store(self) -> Store | AsyncStore:
        """Return the store for sync code, without I/O: its first operation connects.

        Either a Store, or an AsyncStore over connections that block, whose coroutines never
        suspend: so a backend writes its operations once, as coroutines, for sync and async.

        Core calls it once in a process, and again in a child after a fork. The parent's store is
        kept alive in the child and not closed there: its connections are the parent's.
        """

    def create_async_store(self) -> AsyncStore | None:
        """Return the store for the running event loop, without I/O; core calls it once a loop.

        None, the default, has core run the sync store in worker threads of its own.
        """
        return None
