"""The store: one statement for most operations, one transaction for the batches."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final, Literal

from fibonacci.errors import CorruptRecordError, StorageError
from fibonacci.plugin import (
    ABSENT,
    KEEP_TTL,
    Absent,
    Address,
    KeepTTL,
    Page,
    Space,
    Store,
    encode_parts,
)
from fibonacci.plugin.runtime import now_ms, remaining_ttl_ms
from fibonacci_sqlite import statements as sql
from fibonacci_sqlite.connection import Connection, Opening
from fibonacci_sqlite.file import DatabaseFile

STEP: Final = 200
"""Records that one step of ``clear`` removes: other writers wait that long."""

SWEEP_EVERY: Final = 64
"""Records written between two sweeps, each of which removes up to twice as many."""

_END: Final = b"\xff"
"""Above all UTF-8."""


class SqliteStore(Store):
    """Records in one table of one file, which any number of processes share."""

    clock: Literal["server", "client"] = "client"
    retry_transient_errors = (
        False  # busy is waited for here, and nothing else gets better by itself
    )

    def __init__(self, opening: Opening) -> None:
        """Open nothing: the first operation does."""
        self._file = DatabaseFile(opening)
        self._written = SWEEP_EVERY  # the first write sweeps: some processes make few

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        row = self._file.do(sql.fetch, sql.READ, _at(address), deadline=deadline)
        return None if row is None else self._value(address, *row)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        given = (data, *_at(address))
        self._file.do(sql.write, sql.WRITE, given, ttl_ms, deadline=deadline, writes=True)
        self._sweep()

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        given: sql.Row = (data, *_at(address))
        if expected is ABSENT:
            new = None if ttl_ms is KEEP_TTL else ttl_ms
            written = self._write_live(sql.CREATE, given, new, deadline)
        elif ttl_ms is KEEP_TTL:
            written = self._change_live(sql.SWAP_KEEPING, (*given, expected), deadline)
        else:
            written = self._write_live(sql.SWAP, (*given, expected), ttl_ms, deadline)
        self._sweep()
        return written

    def remove(self, address: Address, *, deadline: float) -> bool:
        return self._change_live(sql.REMOVE, _at(address), deadline)

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        row = self._file.do(sql.fetch, sql.REMAINING, _at(address), deadline=deadline)
        if row is None:
            return ABSENT
        (expires,) = row
        if not isinstance(expires, int | None):
            raise self._corrupt(address)
        if expires is None:
            return None
        return ABSENT if expires <= now_ms() else max(1, remaining_ttl_ms(expires))

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        start = prefix.encode() if cursor is None else _behind(cursor)
        given = (_bytes_of(space), start, prefix.encode() + _END)
        rows = self._file.do(sql.fetch_live, sql.SCAN, given, limit, deadline=deadline)
        keys = [key for (raw,) in rows if (key := _key(raw)) is not None]
        return Page(keys, _cursor(rows[-1][0]) if len(rows) == limit else None)

    def close(self) -> None:
        """Close all connections; an operation that comes later opens one for itself."""
        self._file.close()

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        places = [_at(address) for address in addresses]
        rows = self._file.do(sql.fetch_each, sql.READ, places, deadline=deadline)
        return [
            None if row is None else self._value(address, *row)
            for address, row in zip(addresses, rows, strict=True)
        ]

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        given = [(data, *_at(address)) for address, data in items]
        self._change_each(partial(sql.write, ttl_ms=ttl_ms), sql.WRITE, given, deadline)
        self._sweep(len(items))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        given = [_at(address) for address in addresses]
        return self._change_each(sql.change_live, sql.REMOVE, given, deadline)

    def exists(self, address: Address, *, deadline: float) -> bool:
        return self.remaining_ttl_ms(address, deadline=deadline) is not ABSENT

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return self._write_live(sql.TOUCH, _at(address), ttl_ms, deadline)

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        where, start = _bytes_of(space), b"" if cursor is None else _behind(cursor)
        last = self._file.do(
            sql.fetch, sql.LAST_OF_STEP, (where, start, STEP - 1), deadline=deadline
        )
        follows = None if last is None else _cursor(last[0])
        given = (where, start, _END if follows is None else _behind(follows))
        self._file.do(sql.change, sql.CLEAR, given, deadline=deadline, writes=True)
        return follows

    def _change_live(self, order: str, given: sql.Row, deadline: float) -> bool:
        return self._file.do(sql.change_live, order, given, deadline=deadline, writes=True) == 1

    def _write_live(self, order: str, given: sql.Row, ttl_ms: int | None, deadline: float) -> bool:
        return (
            self._file.do(sql.write_live, order, given, ttl_ms, deadline=deadline, writes=True) == 1
        )

    def _change_each(
        self,
        step: Callable[[Connection, str, sql.Row], int],
        order: str,
        given: Sequence[sql.Row],
        deadline: float,
    ) -> int:
        return self._file.do(
            sql.change_each, step, order, given, deadline, deadline=deadline, writes=True
        )

    def _sweep(self, written: int = 1) -> None:
        """Now and then, remove some records that expired. A fault is for the next write to tell."""
        self._written += written  # threads may lose a count or two; nobody counts on it
        if self._written < SWEEP_EVERY:
            return
        given = (now_ms(), 2 * self._written)
        self._written = 0
        with suppress(StorageError):
            self._file.do(sql.change, sql.SWEEP, given, deadline=0, writes=True)

    def _value(self, address: Address, value: Any, expires: Any) -> bytes | None:
        if type(value) is not bytes or not isinstance(expires, int | None):
            raise self._corrupt(address)
        return None if expires is not None and expires <= now_ms() else value

    def _corrupt(self, address: Address) -> CorruptRecordError:
        return CorruptRecordError(
            f"{address} was not written by fibonacci-sqlite: its value must be a BLOB, and "
            f"expires_ms an INTEGER or NULL, in database {self._file.path!r}"
        )


@lru_cache(maxsize=1024)
def _bytes_of(space: Space) -> bytes:
    return encode_parts(*space)


def _at(address: Address) -> tuple[bytes, bytes]:
    return _bytes_of(address.space), address.key.encode()


def _key(raw: bytes) -> str | None:
    """The key; None where somebody else wrote other bytes than UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _cursor(raw: bytes) -> str:
    """The last key of a page as a cursor, whoever wrote it."""
    return raw.decode(errors="surrogateescape")


def _behind(cursor: str) -> bytes:
    """The first bytes above the key that the cursor is."""
    return cursor.encode(errors="surrogateescape") + b"\0"
