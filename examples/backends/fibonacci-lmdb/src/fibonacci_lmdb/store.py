"""The store: each operation is one transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice, takewhile
from threading import Lock
from typing import Literal

import lmdb

from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, KeepTTL, Page, Space, Store
from fibonacci.plugin.runtime import remaining_ttl_ms
from fibonacci_lmdb.environments import closed, opened
from fibonacci_lmdb.faults import told
from fibonacci_lmdb.layout import (
    DIGEST,
    HEAD,
    expiry,
    group,
    key_in,
    packed,
    physical,
    record_at,
)


class LmdbStore(Store):
    """Records in one file. Reads wait for nobody, writes for each other."""

    clock: Literal["server", "client"] = "client"
    retry_transient_errors = False

    def __init__(self, path: str) -> None:
        """Take the absolute path; the first operation opens it."""
        self._path = path
        self._lock = Lock()
        self._environment: lmdb.Environment | None = None

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        with self._reading() as transaction:
            record = record_at(address, transaction.get(physical(address)))
        return None if record is None else record.data

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        with self._writing() as transaction:
            transaction.put(physical(address), packed(address, data, expiry(ttl_ms)))

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        key = physical(address)
        with self._writing() as transaction:
            record = record_at(address, transaction.get(key))
            if (ABSENT if record is None else record.data) != expected:
                return False
            kept = record.expires if record else 0
            expires = kept if ttl_ms is KEEP_TTL else expiry(ttl_ms)
            transaction.put(key, packed(address, data, expires))
            return True

    def remove(self, address: Address, *, deadline: float) -> bool:
        with self._writing() as transaction:
            return _removed(transaction, address)

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        with self._reading() as transaction:
            record = record_at(address, transaction.get(physical(address)))
        if record is None:
            return ABSENT
        return max(1, remaining_ttl_ms(record.expires)) if record.expires else None

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        start = prefix if cursor is None else cursor
        with self._reading() as transaction:
            near = takewhile(
                lambda key: key < prefix or key.startswith(prefix),
                _keys(transaction, space, start),
            )
            found = (key for key in near if key >= prefix and (cursor is None or key > cursor))
            keys = list(islice(found, limit + 1))
        return Page(keys[:limit], keys[limit - 1] if len(keys) > limit else None)

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        """Write all in one transaction: each one costs a wait for the disk."""
        with self._writing() as transaction:
            expires = expiry(ttl_ms)  # only now: another writer may have been waited for
            for address, data in items:
                transaction.put(physical(address), packed(address, data, expires))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        """Remove all in one transaction; the default ``clear`` comes here, too."""
        with self._writing() as transaction:
            return sum([_removed(transaction, address) for address in addresses])

    def close(self) -> None:
        with self._lock:
            if self._environment is not None:
                self._environment = None
                closed(self._path)

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        with told(self._path), self._opened().begin() as transaction:
            yield transaction

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction]:
        with told(self._path):
            environment = self._opened()
        with told(self._path, change=True), environment.begin(write=True) as transaction:
            yield transaction

    def _opened(self) -> lmdb.Environment:
        with self._lock:
            if self._environment is None:
                self._environment = opened(self._path)
            return self._environment


def _removed(transaction: lmdb.Transaction, address: Address) -> bool:
    key = physical(address)
    record = record_at(address, transaction.get(key))
    transaction.delete(key)
    return record is not None


def _keys(transaction: lmdb.Transaction, space: Space, start: str) -> Iterator[str]:
    """Give the live keys of the space in order, those with the start's head first."""
    cursor = transaction.cursor()
    cursor.set_range(group(space, start))
    mine = group(space, "")
    rows = takewhile(lambda row: row[0].startswith(mine), cursor.iternext())
    for _, alike in groupby(rows, lambda row: row[0][: DIGEST + HEAD]):
        keys = (key_in(space, value) for _, value in alike)
        # Long names with one head lie in the order of their digests.
        yield from sorted(key for key in keys if key is not None)
