"""The ``memory`` backend: records in this process, as bytes, until the process ends.

No lock is taken. A signal handler or a finalizer may use the store between any two steps of a call
of its own thread, where a lock either lets it in or hangs; and an exception may end the call there.
So each change of a record is one call into C, during which Python does neither that nor switches to
another thread: what a change needs to see first, the same call looks at. Where Python has no global
lock (GIL), another thread does not wait for that: there the store is a LockedStore.
"""

import sys
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import compress, repeat, starmap
from math import ceil
from operator import is_
from time import monotonic
from typing import Any, Final, Literal

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.address import Address, Space
from fibonacci.plugin.hookspecs import hookimpl
from fibonacci.plugin.options import read_options
from fibonacci.plugin.storage import (
    ABSENT,
    KEEP_TTL,
    Absent,
    AsyncStore,
    Backend,
    BlockingStore,
    KeepTTL,
    Page,
    Store,
    StoreSettings,
)
from fibonacci.plugin.url import StoreURL


class SpaceKeys:
    """The keys of a space: those of all its records, and of some that are gone."""

    __slots__ = ("all", "ordered")

    def __init__(self) -> None:
        self.all: set[str] = set()
        self.ordered: list[str] = []

    def sorted_keys(self) -> list[str]:
        """Return the keys sorted; the list must not be changed."""
        ordered = self.ordered
        if len(ordered) != len(self.all):  # keys are only added, so equal counts mean equal keys
            self.ordered = ordered = sorted(self.all)
        return ordered


class RecordIndex:
    """Keys by space, and a heap of expiries: of all records, and of some that are gone.

    A record is added before it is written, so that an interrupted call leaves an entry too many,
    never one too few. Once most entries are of records that are gone, a new index of the present
    records replaces this one. It is added to the successors before it reads the records, so that
    a concurrent write adds its record there as well.
    """

    __slots__ = ("expiry_heap", "key_count", "spaces", "successors")

    def __init__(self) -> None:
        self.spaces: dict[Space, SpaceKeys] = {}
        self.expiry_heap: list[tuple[float, Address]] = []
        self.key_count = 0
        """The number of keys, less a few that threads counted at the same time."""
        self.successors: list[RecordIndex] = []

    def add(self, address: Address, expires: float | None) -> None:
        """Add a record to this index and to its successors."""
        keys = self.spaces.get(address.space)
        if keys is None:
            keys = self.spaces.setdefault(address.space, SpaceKeys())
        if address.key not in keys.all:
            keys.all.add(address.key)
            self.key_count += 1
        if expires is not None:
            heappush(self.expiry_heap, (expires, address))
        for successor in self.successors:
            successor.add(address, expires)


FIBONACCI_SPEC_VERSION: Final = 1

COMPACTION_SLACK: Final = 64
"""Surplus entries of an index that are not worth a new index."""

Record = tuple[bytes, float | None]
"""The bytes, and when they expire on the monotonic clock."""


class LocalStore(Store):
    """Records in a dict."""

    clock: Literal["server", "client"] = "client"
    retry_transient_errors = False
    _in_process = True
    _needs_guard = False

    def __init__(self) -> None:
        self._records: dict[tuple[Space, str], Record] = {}
        self._index = RecordIndex()

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        # _get_unexpired, inlined: one call less for every read.
        record = self._records.get(address)
        if record is None or (record[1] is not None and monotonic() >= record[1]):
            return None
        return record[0]

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        index, expires = self._index, _expiry(ttl_ms)
        must_index = expires is not None or address not in self._records
        if must_index:
            index.add(address, expires)
        self._records[address] = (data, expires)
        if must_index or index.successors:
            self._update_index(index, address, expires)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        while True:
            seen = self._records.get(address)
            expired = seen is not None and seen[1] is not None and monotonic() >= seen[1]
            live = None if expired else seen
            if (live[0] if live else ABSENT) != expected:
                return False
            kept = live[1] if live else None
            expires = kept if ttl_ms is KEEP_TTL else _expiry(ttl_ms)
            if self._replace(address, seen, (data, expires)):
                return True

    def remove(self, address: Address, *, deadline: float) -> bool:
        record = self._records.pop(address, None)
        self._compact_index()
        return record is not None and (record[1] is None or monotonic() < record[1])

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        record = self._get_unexpired(address)
        if record is None:
            return ABSENT
        return None if record[1] is None else max(1, ceil((record[1] - monotonic()) * 1000))

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        space_keys = self._index.spaces.get(space)
        ordered = space_keys.sorted_keys() if space_keys else []
        start = bisect_left(ordered, prefix) if cursor is None else bisect_right(ordered, cursor)
        keys: list[str] = []
        for index in range(start, len(ordered)):
            key = ordered[index]
            if not key.startswith(prefix):
                break
            if len(keys) == limit:
                return Page(keys, keys[-1])
            if self._get_unexpired((space, key)):
                keys.append(key)
        return Page(keys, None)

    def close(self) -> None:
        """Do nothing: the data outlives its users."""

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        return [self.read(address, deadline=deadline) for address in addresses]

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        for address, data in items:
            self.write(address, data, ttl_ms, deadline=deadline)

    def exists(self, address: Address, *, deadline: float) -> bool:
        return self._get_unexpired(address) is not None

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        while record := self._get_unexpired(address):
            if self._replace(address, record, (record[0], _expiry(ttl_ms))):
                return True
        return False

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        space_keys = self._index.spaces.get(space)
        if space_keys:
            addresses = zip(repeat(space), list(space_keys.all), strict=False)
            deque(map(self._records.pop, addresses, repeat(None)), maxlen=0)
            self._compact_index()
        return None

    def _get_unexpired(self, address: tuple[Space, str]) -> Record | None:
        record = self._records.get(address)
        if record is None or (record[1] is not None and monotonic() >= record[1]):
            return None
        return record

    def _replace(self, address: Address, seen: Record | None, record: Record) -> bool:
        """Replace ``seen`` by a record if it is still there; return whether it was."""
        index, expires = self._index, record[1]
        must_index = seen is None or expires != seen[1]
        if must_index:
            index.add(address, expires)
        if seen is None:
            replaced = self._records.setdefault(address, record) is record
        else:
            replaced = _replace_item(self._records, address, seen, record)
        if must_index or index.successors:
            self._update_index(index, address, expires)
        return replaced

    def _update_index(self, index: RecordIndex, address: Address, expires: float | None) -> None:
        """Add a written record to new indexes, and delete expired records."""
        for successor in index.successors:
            successor.add(address, expires)
        if expires is not None:
            self._delete_expired(index.expiry_heap)
        self._compact_index()

    def _delete_expired(self, heap: list[tuple[float, Address]]) -> None:
        """Delete the records that expired first: more at each expiring write than it added."""
        now = monotonic()
        for _ in range(3):
            first = next(iter(heap), None)
            if first is None or first[0] > now:
                break
            expires, address = first
            record = self._records.get(address)
            is_current = (
                record and record[1] == expires and not _pop_item(self._records, address, record)
            )
            # One step, as below; an entry whose record was just written to stays.
            next(
                map(heappop, compress(() if is_current else (heap,), map(is_, heap, (first,)))),
                None,
            )

    def _compact_index(self) -> None:
        """Replace the index if most of its entries are of records that are gone."""
        index, most = self._index, COMPACTION_SLACK + 2 * len(self._records)
        if index.key_count > most or len(index.expiry_heap) > most:
            compact = RecordIndex()
            index.successors.append(compact)
            for (space, key), (_, expires) in self._records.copy().items():
                compact.add(Address(space, key), expires)
            _replace_item(vars(self), "_index", index, compact)


def _replace_item(values: dict[Any, Any], key: Any, seen: object, value: object) -> bool:
    """Replace ``seen`` by a value if it is still there, in one step; return whether it was.

    The iterators do nothing until ``next`` compares and replaces.
    """
    same = map(is_, map(values.get, (key,)), (seen,))
    return next(starmap(values.__setitem__, compress(((key, value),), same)), ABSENT) is None


def _pop_item(values: dict[Any, Any], key: Any, seen: object) -> bool:
    """Remove ``seen`` if it is still there, in one step; return whether it was."""
    same = map(is_, map(values.get, (key,)), (seen,))
    return next(map(values.pop, compress((key,), same)), None) is not None


def _expiry(ttl_ms: int | None) -> float | None:
    return None if ttl_ms is None else monotonic() + ttl_ms / 1000


class LocalAsyncStore(BlockingStore):
    """The store for async code: it waits only in ``pause``, where other tasks run."""

    _in_process = True
    _is_blocking = False


class LocalBackend(Backend):
    """A store in this process: the same object for all callers."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def create_store(self) -> Store:
        return self._store

    def create_async_store(self) -> AsyncStore:
        return LocalAsyncStore(self._store)


def create_local_store() -> LocalStore:
    """Return an empty store; it takes a lock if no GIL makes each change atomic."""
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return LocalStore()
    from fibonacci._builtin.locked import LockedStore

    return LockedStore()


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``memory://name``; without a URL, the one without a name."""
    read_options(settings, {})
    name = _name(settings.url) if settings.url else ""
    return LocalBackend(_stores.setdefault(name, create_local_store()))


def _name(url: StoreURL) -> str:
    if url != StoreURL(scheme="memory", hosts=url.hosts[:1], query=url.query) or (
        url.hosts and url.hosts[0][1] is not None
    ):
        raise ConfigurationError(
            "backend 'memory' takes no connection URL, or memory://name for a store apart"
        )
    return url.hosts[0][0] if url.hosts else ""


_stores: Final[dict[str, LocalStore]] = {}
