"""The ``memory`` backend: records in this process, as bytes, until the process ends.

No lock is taken. A signal handler or a finalizer may use the store between any two steps of a call
of its own thread, where a lock either lets it in or hangs; and an exception may end the call there.
So each change of a record is one call into C, amid which Python does neither that nor switches to
another thread: what a change needs to see first, the same call looks at. Where Python has no global
lock (GIL), another thread does not wait for that: there the store is a LockedStore.
"""

import sys
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from heapq import heappop
from itertools import compress, repeat, starmap
from math import ceil
from operator import is_
from time import monotonic
from typing import Any, Final, Literal

from fibonacci._builtin.catalog import Catalog
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

FIBONACCI_SPEC_VERSION: Final = 1

SLACK: Final = 64
"""Entries of a catalog which are not worth another one."""

Record = tuple[bytes, float | None]
"""The bytes, and when they expire on the monotonic clock."""


class LocalStore(Store):
    """Records in a dict."""

    clock: Literal["server", "client"] = "client"
    retry_transient_errors = False
    _in_process = True

    def __init__(self) -> None:
        self._records: dict[tuple[Space, str], Record] = {}
        self._catalog = Catalog()

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        # _live, written out: a call less on the path of every read.
        record = self._records.get(address)
        if record is None or (record[1] is not None and monotonic() >= record[1]):
            return None
        return record[0]

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        catalog, expires = self._catalog, _expiry(ttl_ms)
        enters = expires is not None or address not in self._records
        if enters:
            catalog.enter(address, expires)
        self._records[address] = (data, expires)
        if enters or catalog.successors:
            self._tidy(catalog, address, expires)

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
        self._shorten()
        return record is not None and (record[1] is None or monotonic() < record[1])

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        record = self._live(address)
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
        known = self._catalog.spaces.get(space)
        ordered = known.in_order() if known else []
        start = bisect_left(ordered, prefix) if cursor is None else bisect_right(ordered, cursor)
        keys: list[str] = []
        for index in range(start, len(ordered)):
            key = ordered[index]
            if not key.startswith(prefix):
                break
            if len(keys) == limit:
                return Page(keys, keys[-1])
            if self._live((space, key)):
                keys.append(key)
        return Page(keys, None)

    def close(self) -> None:
        """Nothing to let go of: the data outlives whoever used it."""

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        return [self.read(address, deadline=deadline) for address in addresses]

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        for address, data in items:
            self.write(address, data, ttl_ms, deadline=deadline)

    def exists(self, address: Address, *, deadline: float) -> bool:
        return self._live(address) is not None

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        while record := self._live(address):
            if self._replace(address, record, (record[0], _expiry(ttl_ms))):
                return True
        return False

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        known = self._catalog.spaces.get(space)
        if known:
            addresses = zip(repeat(space), list(known.all), strict=False)
            deque(map(self._records.pop, addresses, repeat(None)), maxlen=0)
            self._shorten()
        return None

    def _live(self, address: tuple[Space, str]) -> Record | None:
        record = self._records.get(address)
        if record is None or (record[1] is not None and monotonic() >= record[1]):
            return None
        return record

    def _replace(self, address: Address, seen: Record | None, record: Record) -> bool:
        """Put a record where ``seen`` still is; say whether it was."""
        catalog, expires = self._catalog, record[1]
        enters = seen is None or expires != seen[1]
        if enters:
            catalog.enter(address, expires)
        if seen is None:
            put = self._records.setdefault(address, record) is record
        else:
            put = _put(self._records, address, seen, record)
        if enters or catalog.successors:
            self._tidy(catalog, address, expires)
        return put

    def _tidy(self, catalog: Catalog, address: Address, expires: float | None) -> None:
        """Enter a record that was written in catalogs that came meanwhile, and drop others."""
        for successor in catalog.successors:
            successor.enter(address, expires)
        if expires is not None:
            self._sweep(catalog.due)
        self._shorten()

    def _sweep(self, due: list[tuple[float, Address]]) -> None:
        """Drop the records that expired first: more at each expiring write than it added."""
        now = monotonic()
        for _ in range(3):
            first = next(iter(due), None)
            if first is None or first[0] > now:
                break
            expires, address = first
            record = self._records.get(address)
            stays = record and record[1] == expires and not _drop(self._records, address, record)
            # One step, as below; an entry whose record was written to just now stays.
            next(map(heappop, compress(() if stays else (due,), map(is_, due, (first,)))), None)

    def _shorten(self) -> None:
        """Make another catalog if this one is mostly of records that are gone."""
        catalog, most = self._catalog, SLACK + 2 * len(self._records)
        if catalog.entered > most or len(catalog.due) > most:
            shorter = Catalog()
            catalog.successors.append(shorter)
            for (space, key), (_, expires) in self._records.copy().items():
                shorter.enter(Address(space, key), expires)
            _put(vars(self), "_catalog", catalog, shorter)


def _put(values: dict[Any, Any], key: Any, seen: object, value: object) -> bool:
    """Put a value where ``seen`` still is, in one step; say whether it was.

    The iterators are set up here, and do nothing yet; ``next`` looks and puts.
    """
    same = map(is_, map(values.get, (key,)), (seen,))
    return next(starmap(values.__setitem__, compress(((key, value),), same)), ABSENT) is None


def _drop(values: dict[Any, Any], key: Any, seen: object) -> bool:
    """Remove ``seen`` if it is still there, in one step; say whether it was."""
    same = map(is_, map(values.get, (key,)), (seen,))
    return next(map(values.pop, compress((key,), same)), None) is not None


def _expiry(ttl_ms: int | None) -> float | None:
    return None if ttl_ms is None else monotonic() + ttl_ms / 1000


class AwaitedStore(BlockingStore):
    """The store for async code: it answers at once, and lets the loop go on in a pause."""

    _in_process = True
    _is_blocking = False


class LocalBackend(Backend):
    """A store in this process: the same object for all who ask."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def create_store(self) -> Store:
        return self._store

    def create_async_store(self) -> AsyncStore:
        return AwaitedStore(self._store)


def new_store() -> LocalStore:
    """Return an empty store; it takes a lock where no GIL makes one step of each change."""
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return LocalStore()
    from fibonacci._builtin.locked import LockedStore

    return LockedStore()


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``memory://name``; without a URL, the one without a name."""
    read_options(settings, {})
    name = _name(settings.url) if settings.url else ""
    return LocalBackend(_stores.setdefault(name, new_store()))


def _name(url: StoreURL) -> str:
    if url != StoreURL(scheme="memory", hosts=url.hosts[:1], query=url.query) or (
        url.hosts and url.hosts[0][1] is not None
    ):
        raise ConfigurationError(
            "backend 'memory' takes no connection URL, or memory://name for a store apart"
        )
    return url.hosts[0][0] if url.hosts else ""


_stores: Final[dict[str, LocalStore]] = {}
