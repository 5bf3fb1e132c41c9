"""The store: each operation is one transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice, takewhile
from threading import Lock
from typing import Literal

import lmdb

from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, KeepTTL, Page, Space, Store
from fibonacci.plugin.runtime import remaining_ttl_ms
from fibonacci_lmdb.environments import acquire, release
from fibonacci_lmdb.errors import map_errors
from fibonacci_lmdb.layout import (
    DIGEST,
    HEAD,
    decode_key,
    decode_record_of,
    encode_key,
    encode_record,
    expiry,
    group_key,
)


class LmdbStore(Store):
    """Records in one file. Reads never wait, writes wait for each other."""

    clock: Literal["server", "client"] = "client"
    retry_transient_errors = False

    def __init__(self, path: str) -> None:
        """Store the absolute path; the first operation opens the file."""
        self._path = path
        self._lock = Lock()
        self._environment: lmdb.Environment | None = None

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        with self._reading() as transaction:
            record = decode_record_of(address, transaction.get(encode_key(address)))
        return None if record is None else record.data

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        with self._writing() as transaction:
            transaction.put(encode_key(address), encode_record(address, data, expiry(ttl_ms)))

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        key = encode_key(address)
        with self._writing() as transaction:
            record = decode_record_of(address, transaction.get(key))
            if (ABSENT if record is None else record.data) != expected:
                return False
            current = record.expires if record else 0
            expires = current if ttl_ms is KEEP_TTL else expiry(ttl_ms)
            transaction.put(key, encode_record(address, data, expires))
            return True

    def remove(self, address: Address, *, deadline: float) -> bool:
        with self._writing() as transaction:
            return _remove(transaction, address)

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        with self._reading() as transaction:
            record = decode_record_of(address, transaction.get(encode_key(address)))
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
        """Write all in one transaction: each transaction waits for the disk."""
        with self._writing() as transaction:
            expires = expiry(ttl_ms)  # only now: it may have waited for another writer
            for address, data in items:
                transaction.put(encode_key(address), encode_record(address, data, expires))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        """Remove all in one transaction; the default ``clear`` calls this, too."""
        with self._writing() as transaction:
            return sum([_remove(transaction, address) for address in addresses])

    def close(self) -> None:
        with self._lock:
            if self._environment is not None:
                self._environment = None
                release(self._path)

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        with map_errors(self._path), self._open_environment().begin() as transaction:
            yield transaction

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction]:
        with map_errors(self._path):
            environment = self._open_environment()
        with map_errors(self._path, change=True), environment.begin(write=True) as transaction:
            yield transaction

    def _open_environment(self) -> lmdb.Environment:
        with self._lock:
            if self._environment is None:
                self._environment = acquire(self._path)
            return self._environment


def _remove(transaction: lmdb.Transaction, address: Address) -> bool:
    key = encode_key(address)
    record = decode_record_of(address, transaction.get(key))
    transaction.delete(key)
    return record is not None


def _keys(transaction: lmdb.Transaction, space: Space, start: str) -> Iterator[str]:
    """Yield the unexpired keys of the space in order, from the group of ``start`` on."""
    cursor = transaction.cursor()
    cursor.set_range(group_key(space, start))
    own_start = group_key(space, "")
    rows = takewhile(lambda row: row[0].startswith(own_start), cursor.iternext())
    for _, rows_of_group in groupby(rows, lambda row: row[0][: DIGEST + HEAD]):
        keys = (decode_key(space, value) for _, value in rows_of_group)
        # Long names with the same head are ordered by their digests.
        yield from sorted(key for key in keys if key is not None)
