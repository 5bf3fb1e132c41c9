"""For servers that compare a version instead of bytes: etcd, Consul, NATS, object stores.

Such a server gives each record a token that changes with every write (a revision, an ETag), and
writes or removes on the condition that the token is still the one that was read. The author of a
backend provides that, as it is: a read with version, a conditional write, a conditional removal, a
listing. All else of the store contract is made of these here, once for both voices.

Expiry is kept beside the record, to the millisecond and on this machine's clock: a server's own
ttl, where it has one, counts seconds and sweeps late. It may sweep behind.
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
    """A record as the server holds it, live or expired."""

    data: bytes = attrs.field(repr=False)
    """The value's bytes; in no repr."""
    version: V
    """The server's token; another one after each write, also of equal bytes."""
    expires: int | None
    """Milliseconds since the epoch, as :meth:`VersionedStore.write_if` was given; None: never."""


def is_unexpired(expires: int | None) -> bool:
    """Say whether what expires then is live now."""
    return expires is None or now_ms() < expires


class AsyncVersionedStore(AsyncStore, Generic[V]):
    """A store in the async voice on a server with versions; see :class:`VersionedStore`."""

    clock: Literal["server", "client"] = "client"
    """This machine's: it writes and compares the moments of expiry."""

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
        record = _live(await self.read_record(address, deadline=deadline))
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
        async def swap(found: VersionedRecord[V] | None) -> bool | None:
            live = _live(found)
            if (ABSENT if live is None else live.data) != expected:
                return False
            kept = None if live is None else live.expires
            expires = kept if ttl_ms is KEEP_TTL else _expiry(ttl_ms)
            # An expired record is no record, but the server holds it: its version is the condition.
            version: V | Absent = ABSENT if found is None else found.version
            wrote = self.write_if(address, version, data, expires, deadline=deadline)
            return await wrote or None

        return await self._settled(address, swap, deadline)

    async def remove(self, address: Address, *, deadline: float) -> bool:
        async def go(found: VersionedRecord[V] | None) -> bool | None:
            if found is None:
                return False
            live = is_unexpired(found.expires)
            went = await self.remove_if(address, found.version, deadline=deadline)
            return live if went else None

        return await self._settled(address, go, deadline)

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        record = _live(await self.read_record(address, deadline=deadline))
        if record is None:
            return ABSENT
        return None if record.expires is None else max(1, remaining_ttl_ms(record.expires))

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        async def renew(found: VersionedRecord[V] | None) -> bool | None:
            live = _live(found)
            if live is None:
                return False
            expires = _expiry(ttl_ms)
            wrote = self.write_if(address, live.version, live.data, expires, deadline=deadline)
            return await wrote or None

        return await self._settled(address, renew, deadline)

    async def _settled(
        self,
        address: Address,
        act: Callable[[VersionedRecord[V] | None], Awaitable[T | None]],
        deadline: float,
    ) -> T:
        """Read and act, until nobody came between: None says that somebody did.

        A condition that failed is no answer yet: the other may have written the same bytes, or
        renewed their expiry, or swept an expired record away. The next read tells.
        """
        attempt = 0
        while True:
            found = await self.read_record(address, deadline=deadline)
            settled = await act(found)
            if settled is not None:
                return settled
            attempt += 1
            await self.pause(attempt, address, deadline=deadline)


class VersionedStore(Store, Generic[V]):
    """A store in the sync voice on a server that compares versions.

    Write :meth:`read_record`, :meth:`write_if`, :meth:`remove_if`, ``scan`` and ``close``; the rest
    is here. Each of them asks once: a condition that failed is ``False``, a lost answer
    OutcomeUnknownError. Who comes between two steps is met again, after a random pause, until the
    deadline; then it is a ConflictError.

    ``scan`` lists live keys alone: leave out those whose expiry :func:`is_unexpired` denies.
    """

    clock: Literal["server", "client"] = "client"
    """This machine's: it writes and compares the moments of expiry."""

    @abstractmethod
    def read_record(self, address: Address, *, deadline: float) -> VersionedRecord[V] | None:
        """Return what the server holds, or None. An expired record may be either."""

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
        """Create or replace the record and its expiry if the condition holds; say whether it did.

        ``version``: the record's version must be this one; ABSENT: the server must hold none, not
        even an expired one; None: no condition. Condition and write are one step of the server's.
        """

    @abstractmethod
    def remove_if(self, address: Address, version: V, *, deadline: float) -> bool:
        """Remove the record if its version is this one; say whether it went."""

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
        swap = _BlockingVersionedStore(self).compare_and_set
        return run_sync(swap(address, expected, data, ttl_ms, deadline=deadline))

    def remove(self, address: Address, *, deadline: float) -> bool:
        return run_sync(_BlockingVersionedStore(self).remove(address, deadline=deadline))

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        return run_sync(_BlockingVersionedStore(self).remaining_ttl_ms(address, deadline=deadline))

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return run_sync(_BlockingVersionedStore(self).touch(address, ttl_ms, deadline=deadline))


class _BlockingVersionedStore(AsyncVersionedStore[V], BlockingStore):
    """A sync store in the async shape: what is written above in the async voice, run on it."""

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


def _live(record: VersionedRecord[V] | None) -> VersionedRecord[V] | None:
    return record if record is not None and is_unexpired(record.expires) else None


def _expiry(ttl_ms: int | None) -> int | None:
    return None if ttl_ms is None else expires_at_ms(ttl_ms)
