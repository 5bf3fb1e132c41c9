"""For servers that compare versions instead of bytes: etcd, Consul, NATS, object stores.

Such a server gives each record a token that changes with every write (a revision, an ETag), and
writes or removes on the condition that the token is unchanged since it was read. A backend
implements just that: a read with version, a conditional write, a conditional removal, a listing.
The rest of the store contract is implemented here with these, for sync and async code.

The expiry is stored with the record, in milliseconds and on this machine's clock: a server's own
ttl, if it has one, counts seconds and deletes late. The server may use it in addition.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

import attrs

from fibonacci.plugin._async_store import ABSENT, KEEP_TTL, Absent, AsyncStore, KeepTTL
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.timing import expires_at_ms, now_ms, remaining_ttl_ms
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import BlockingStore, Store

V = TypeVar("V")
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class VersionedRecord(Generic[V]):
    """A record as the server holds it, expired or not."""

    data: bytes = attrs.field(repr=False)
    """The value's bytes; not in the repr."""
    version: V
    """The server's token, which changes with each write, even of equal bytes."""
    expires: int | None
    """Milliseconds since the epoch, as passed to :meth:`VersionedStore.write_if`; None: never."""


def is_unexpired(expires: int | None) -> bool:
    """Return whether a record with this expiry, in milliseconds since the epoch, is unexpired."""
    return expires is None or now_ms() < expires


class AsyncVersionedStore(AsyncStore, Generic[V]):
    """A store for async code on a server with versions; see :class:`VersionedStore`."""

    clock: Literal["server", "client"] = "client"
    """The client's: it writes and compares the expiries."""

    @abstractmethod
    async def read_record(self, address: Address, *, deadline: float) -> VersionedRecord[V] | None:
        """See :meth:`VersionedStore.read_record`."""

    @abstractmethod
    async def write_if(
        self,
        address: Address,
        version: V | Absent | None,
        data: bytes,
        expires: int | None,
        *,
        deadline: float,
    ) -> bool:
        """See :meth:`VersionedStore.write_if`."""

    @abstractmethod
    async def remove_if(self, address: Address, version: V, *, deadline: float) -> bool:
        """See :meth:`VersionedStore.remove_if`."""

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        record = _unexpired_or_none(await self.read_record(address, deadline=deadline))
        return None if record is None else record.data

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        await self.write_if(address, None, data, _expiry(ttl_ms), deadline=deadline)

    async def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        async def write_if_equal(found: VersionedRecord[V] | None) -> bool | None:
            unexpired = _unexpired_or_none(found)
            if (ABSENT if unexpired is None else unexpired.data) != expected:
                return False
            current = None if unexpired is None else unexpired.expires
            expires = current if ttl_ms is KEEP_TTL else _expiry(ttl_ms)
            # The server may still hold an expired record: its version is the condition.
            version: V | Absent = ABSENT if found is None else found.version
            written = self.write_if(address, version, data, expires, deadline=deadline)
            return await written or None

        return await self._retry_on_conflict(address, write_if_equal, deadline)

    async def remove(self, address: Address, *, deadline: float) -> bool:
        async def remove_found(found: VersionedRecord[V] | None) -> bool | None:
            if found is None:
                return False
            was_unexpired = is_unexpired(found.expires)
            removed = await self.remove_if(address, found.version, deadline=deadline)
            return was_unexpired if removed else None

        return await self._retry_on_conflict(address, remove_found, deadline)

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        record = _unexpired_or_none(await self.read_record(address, deadline=deadline))
        if record is None:
            return ABSENT
        return None if record.expires is None else max(1, remaining_ttl_ms(record.expires))

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        async def write_expiry(found: VersionedRecord[V] | None) -> bool | None:
            unexpired = _unexpired_or_none(found)
            if unexpired is None:
                return False
            expires = _expiry(ttl_ms)
            written = self.write_if(
                address, unexpired.version, unexpired.data, expires, deadline=deadline
            )
            return await written or None

        return await self._retry_on_conflict(address, write_expiry, deadline)

    async def _retry_on_conflict(
        self,
        address: Address,
        attempt_once: Callable[[VersionedRecord[V] | None], Awaitable[T | None]],
        deadline: float,
    ) -> T:
        """Read the record and call ``attempt_once``, again while it returns None for a conflict.

        A failed condition decides nothing: the other writer may have written the same bytes,
        changed the expiry only, or deleted an expired record. The next read decides.
        """
        attempt = 0
        while True:
            found = await self.read_record(address, deadline=deadline)
            result = await attempt_once(found)
            if result is not None:
                return result
            attempt += 1
            await self.pause(attempt, address, deadline=deadline)


class VersionedStore(Store, Generic[V]):
    """A store for sync code on a server that compares versions.

    Implement :meth:`read_record`, :meth:`write_if`, :meth:`remove_if`, ``scan`` and ``close``; the
    rest is implemented here. Each of them sends one request: a failed condition is ``False``, a
    lost response OutcomeUnknownError. After a conflict the operation is retried, with a random
    backoff, until the deadline; then it raises ConflictError.

    ``scan`` lists unexpired keys only: skip those for which :func:`is_unexpired` is false.
    """

    clock: Literal["server", "client"] = "client"
    """The client's: it writes and compares the expiries."""

    @abstractmethod
    def read_record(self, address: Address, *, deadline: float) -> VersionedRecord[V] | None:
        """Return the record, or None. For an expired record either is right."""

    @abstractmethod
    def write_if(
        self,
        address: Address,
        version: V | Absent | None,
        data: bytes,
        expires: int | None,
        *,
        deadline: float,
    ) -> bool:
        """Create or replace the record and its expiry if the condition holds.

        Returns whether it was written. ``expires``: milliseconds since the epoch; None: never.

        ``version``: the record must have this version; ABSENT: the server must hold no record, not
        even an expired one; None: no condition. Condition and write are one atomic step.
        """

    @abstractmethod
    def remove_if(self, address: Address, version: V, *, deadline: float) -> bool:
        """Remove the record if it has this version; return whether it was removed."""

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return run_sync(_BlockingVersionedStore(self).read(address, deadline=deadline))

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        run_sync(_BlockingVersionedStore(self).write(address, data, ttl_ms, deadline=deadline))

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        compare_and_set = _BlockingVersionedStore(self).compare_and_set
        return run_sync(compare_and_set(address, expected, data, ttl_ms, deadline=deadline))

    def remove(self, address: Address, *, deadline: float) -> bool:
        return run_sync(_BlockingVersionedStore(self).remove(address, deadline=deadline))

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        return run_sync(_BlockingVersionedStore(self).remaining_ttl_ms(address, deadline=deadline))

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return run_sync(_BlockingVersionedStore(self).touch(address, ttl_ms, deadline=deadline))


class _BlockingVersionedStore(AsyncVersionedStore[V], BlockingStore):
    """A sync store as a blocking store: the methods of AsyncVersionedStore call it."""

    store: VersionedStore[V]

    async def read_record(self, address: Address, *, deadline: float) -> VersionedRecord[V] | None:
        return self.store.read_record(address, deadline=deadline)

    async def write_if(
        self,
        address: Address,
        version: V | Absent | None,
        data: bytes,
        expires: int | None,
        *,
        deadline: float,
    ) -> bool:
        return self.store.write_if(address, version, data, expires, deadline=deadline)

    async def remove_if(self, address: Address, version: V, *, deadline: float) -> bool:
        return self.store.remove_if(address, version, deadline=deadline)


def _unexpired_or_none(record: VersionedRecord[V] | None) -> VersionedRecord[V] | None:
    return record if record is not None and is_unexpired(record.expires) else None


def _expiry(ttl_ms: int | None) -> int | None:
    return None if ttl_ms is None else expires_at_ms(ttl_ms)
