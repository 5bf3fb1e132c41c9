"""The ``memory`` backend: records in this process, as bytes, until the process ends."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import ceil
from threading import RLock
from time import monotonic
from typing import Final, Literal

from fibonacci.errors import ConfigurationError
from fibonacci.plugin._runtime.forks import on_fork
from fibonacci.plugin.address import Address, Space
from fibonacci.plugin.hookspecs import hookimpl
from fibonacci.plugin.options import read_options
from fibonacci.plugin.storage import (
    ABSENT,
    KEEP,
    Absent,
    AsyncStore,
    Backend,
    Inline,
    Keep,
    Page,
    Store,
    StoreSettings,
)
from fibonacci.plugin.url import StoreURL

FIBONACCI_SPEC_VERSION: Final = 1

Record = tuple[bytes, float | None]
"""The bytes, and when they expire on the monotonic clock."""


class Shelf:
    """One space's records; and its keys in order, once someone asked."""

    __slots__ = ("ordered", "records")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.ordered: list[str] | None = None


class LocalStore(Store):
    """Records in dicts. Changes take a lock; reads need none: a look-up in a dict is atomic."""

    clock: Literal["server", "client"] = "client"
    remote = False
    _in_process = True

    def __init__(self) -> None:
        # Reentrant: a signal handler or a finalizer may use the store while this thread does.
        self.lock = RLock()
        self._shelves: dict[Space, Shelf] = {}
        self._due: list[tuple[float, Address]] = []
        """A heap of expiries, with those of records that were overwritten since."""
        self._size = 0

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        # _live, written out: a call less on the path of every read.
        shelf = self._shelves.get(address.space)
        record = None if shelf is None else shelf.records.get(address.key)
        if record is None or (record[1] is not None and monotonic() >= record[1]):
            return None
        return record[0]

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        with self.lock:
            self._put(address, data, _expiry(ttl_ms))

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        with self.lock:
            found, expires = self._live(address) or (ABSENT, None)
            if found != expected:
                return False
            self._put(address, data, expires if ttl_ms is KEEP else _expiry(ttl_ms))
            return True

    def remove(self, address: Address, *, deadline: float) -> bool:
        with self.lock:
            live = self._live(address) is not None
            self._drop(address)
            return live

    def remaining(self, address: Address, *, deadline: float) -> int | Absent | None:
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
        ordered = self._ordered(space)
        start = bisect_left(ordered, prefix) if cursor is None else bisect_right(ordered, cursor)
        keys: list[str] = []
        for index in range(start, len(ordered)):
            key = ordered[index]
            if not key.startswith(prefix):
                break
            if len(keys) == limit:
                return Page(keys, keys[-1])
            if self._live(Address(space, key)):
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
        with self.lock:
            record = self._live(address)
            if record:
                self._put(address, record[0], _expiry(ttl_ms))
            return record is not None

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        with self.lock:
            shelf = self._shelves.pop(space, None)
            self._size -= len(shelf.records) if shelf else 0
        return None

    def _live(self, address: Address) -> Record | None:
        shelf = self._shelves.get(address.space)
        if shelf is None:
            return None
        record = shelf.records.get(address.key)
        if record is None or (record[1] is not None and monotonic() >= record[1]):
            return None
        return record

    def _put(self, address: Address, data: bytes, expires: float | None) -> None:
        shelf = self._shelves.get(address.space)
        if shelf is None:
            shelf = self._shelves[address.space] = Shelf()
        if address.key not in shelf.records:
            shelf.ordered = None
            self._size += 1
        shelf.records[address.key] = (data, expires)
        if expires is not None:
            heappush(self._due, (expires, address))
            self._sweep()

    def _drop(self, address: Address) -> None:
        shelf = self._shelves.get(address.space)
        if shelf and shelf.records.pop(address.key, None):
            shelf.ordered = None
            self._size -= 1
            if not shelf.records:
                del self._shelves[address.space]

    def _sweep(self) -> None:
        """Drop the records that expired first: more at each expiring write than it added."""
        now = monotonic()
        for _ in range(3):
            if not self._due or self._due[0][0] > now:
                break
            expires, address = heappop(self._due)
            shelf = self._shelves.get(address.space)
            if shelf and shelf.records.get(address.key, (b"", None))[1] == expires:
                self._drop(address)
        if len(self._due) > 64 + 2 * self._size:  # mostly of overwritten records
            self._due = [
                (record[1], Address(space, key))
                for space, shelf in self._shelves.items()
                for key, record in shelf.records.items()
                if record[1] is not None
            ]
            heapify(self._due)

    def _ordered(self, space: Space) -> list[str]:
        with self.lock:
            shelf = self._shelves.get(space)
            if shelf is None:
                return []
            if shelf.ordered is None:
                shelf.ordered = sorted(shelf.records)
            return shelf.ordered


def _expiry(ttl_ms: int | None) -> float | None:
    return None if ttl_ms is None else monotonic() + ttl_ms / 1000


class AwaitedStore(Inline):
    """The store in the async voice: it answers at once, and lets the loop go on in a pause."""

    _in_process = True
    _sleep = AsyncStore._sleep


class LocalBackend(Backend):
    """The store of one name: the same object for all who ask, in this process."""

    def __init__(self, name: str) -> None:
        with _naming:
            self._store = _stores.setdefault(name, LocalStore())

    def connect(self) -> Store:
        return self._store

    def aconnect(self) -> AsyncStore:
        return AwaitedStore(self._store)


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``memory://name``; without a URL, the one without a name."""
    read_options(settings, {})
    return LocalBackend(_name(settings.url) if settings.url else "")


def _name(url: StoreURL) -> str:
    if url != StoreURL(scheme="memory", hosts=url.hosts[:1], query=url.query) or (
        url.hosts and url.hosts[0][1] is not None
    ):
        raise ConfigurationError(
            "backend 'memory' takes no connection URL, or memory://name for a store apart"
        )
    return url.hosts[0][0] if url.hosts else ""


_stores: Final[dict[str, LocalStore]] = {}
_naming: Final = RLock()


def _hold() -> None:
    _naming.acquire()
    for store in _stores.values():
        store.lock.acquire()


def _release() -> None:
    for store in _stores.values():
        store.lock.release()
    _naming.release()


# A child forked while another thread held a lock would wait for that thread for ever.
on_fork(before=_hold, after_in_parent=_release, after_in_child=_release)
