"""What a storage plugin provides: a backend, and the store that it creates.

Bytes in, bytes out. Core applies the rules (JSON, patterns, limits, encryption, valid ttls); a
store does the I/O. Seven methods are required for the whole contract. Every other method has a
default that calls these: correct, but slower. A backend may override it.

``deadline`` is a reading of ``time.monotonic()``, in seconds. An operation that misses it raises
BackendUnavailableError if it certainly was not applied, OutcomeUnknownError if it may have been.
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
    """What core passes to ``fibonacci_storage``: no key prefix, no encryption key."""

    url: StoreURL | None
    """The connection URL, parsed; its repr and its ``str`` mask the password."""
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """The backend's own options; :attr:`StoreURL.query` may hold more of them.
    :func:`read_options` reads both."""
    timeout: float = 5.0
    """Seconds that one request may take, including the time to connect."""


class Store(ABC):
    """A store for sync code. One object serves all threads of one process.

    For every method an expired record does not exist, even if the server still holds it.
    """

    clock: Literal["server", "client"] = "server"
    """Which clock decides that a record has expired."""
    retry_transient_errors: bool = True
    """Whether its errors may be transient, as a server's are. Core then retries until the deadline:
    each read, each write that certainly was not applied, and a ``write``, ``write_many``, ``touch``
    or ``clear`` with unknown outcome. The store itself makes one attempt. Core also runs up to 64
    of its reads and 64 of its writes at a time in worker threads, instead of 8 of each, as they
    mostly wait for the server; and it refuses to use the store under eventlet."""
    _in_process: bool = False
    _needs_guard: bool = True

    @abstractmethod
    def read(self, address: Address, *, deadline: float) -> bytes | None:
        """Return the bytes of the record, or None if there is no unexpired one."""

    @abstractmethod
    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        """Create or replace the record; it expires in ``ttl_ms`` milliseconds, or never (None)."""

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
        """Write if the record's bytes are ``expected``; return whether it was written.

        The comparison and the write are one atomic step. If the response is lost, raise
        OutcomeUnknownError and do not retry.
        """

    @abstractmethod
    def remove(self, address: Address, *, deadline: float) -> bool:
        """Remove the record; return whether there was an unexpired one."""

    @abstractmethod
    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        """Return the milliseconds until the record expires.

        None if it never does, ABSENT if there is none.
        """

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
        """Return the next page of the space's keys of unexpired records that start with ``prefix``.

        Following the cursors lists each key whose record exists throughout exactly once, in
        code-point order; a page has at most ``limit`` keys. A physical key that does not decode to
        a key of this space was written by another program: it is skipped, and is no error.
        """

    @abstractmethod
    def close(self) -> None:
        """Close all connections. A store that is used afterwards may fail, or connect again."""

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        """Read records of any spaces; the results have the order of the addresses."""
        return run_sync(AsyncStore.read_many(BlockingStore(self), addresses, deadline=deadline))

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        """Write records of any spaces, each atomically; the batch is no transaction."""
        run_sync(AsyncStore.write_many(BlockingStore(self), items, ttl_ms, deadline=deadline))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        """Remove records of any spaces; return the number of unexpired ones."""
        return run_sync(AsyncStore.remove_many(BlockingStore(self), addresses, deadline=deadline))

    def exists(self, address: Address, *, deadline: float) -> bool:
        """Return whether there is an unexpired record."""
        return run_sync(AsyncStore.exists(BlockingStore(self), address, deadline=deadline))

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        """Set the expiry of the record and keep its bytes; return whether there was one."""
        return run_sync(AsyncStore.touch(BlockingStore(self), address, ttl_ms, deadline=deadline))

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        """Remove the space's next records, in key order; return the next cursor, or None.

        Core follows the cursors until None, with a new deadline for each step, so a step is one
        bounded request. At the end each record that existed at the start is removed or rewritten.
        What ``scan`` skips may be removed or not.
        """
        return run_sync(
            AsyncStore.clear(BlockingStore(self), space, cursor=cursor, deadline=deadline)
        )

    def check_size(self, address: Address, data: bytes) -> None:  # noqa: B027 - a default
        """Raise ValueTooLargeError if this store can't hold a record of these bytes.

        It sends no request. By default it does nothing: core itself refuses values of more than
        16 MiB. A store that knows a lower limit overrides it, and refuses exactly what its writes
        refuse. Core asks before it writes records that belong together, or that cost something.
        """


class BlockingStore(AsyncStore):
    """A sync store as an AsyncStore whose coroutines block, and never suspend."""

    _is_blocking = True

    def __init__(self, store: Store) -> None:
        """Wrap the store."""
        self.store = store
        self.retry_transient_errors = store.retry_transient_errors
        self._in_process = store._in_process
        self._needs_guard = store._needs_guard

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

    def check_size(self, address: Address, data: bytes) -> None:
        self.store.check_size(address, data)


class Backend(ABC):
    """What ``fibonacci_storage`` returns: its URL and options are checked, and it did no I/O."""

    identity: Hashable = None
    """What distinguishes this backend's store from others of the plugin: workflows with an equal
    identity and the same timeout share a store. None: the URL and the options as written, which is
    wrong only if two spellings mean the same store, or one spelling two stores."""

    @abstractmethod
    def create_store(self) -> Store | AsyncStore:
        """Return the store for sync code, without I/O: its first operation connects.

        Either a Store, or a blocking store: an AsyncStore over connections that block, whose
        coroutines never suspend. So a backend writes its operations once, as coroutines, for sync
        and async code.

        Core calls it once in a process, and again in a child after a fork. The child keeps the
        parent's store alive and does not close it: its connections belong to the parent.
        """

    def create_async_store(self) -> AsyncStore | None:
        """Return the store for the running event loop, without I/O; core calls it once a loop.

        With None, the default, core runs the sync store in its worker threads.
        """
        return None
