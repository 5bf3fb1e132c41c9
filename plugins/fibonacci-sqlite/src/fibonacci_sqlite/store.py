"""The store: most operations are one statement, batches are one transaction."""

import logging
from collections.abc import Callable, Sequence
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
from fibonacci_sqlite.connection import Connection
from fibonacci_sqlite.database import Database
from fibonacci_sqlite.settings import ConnectionOptions

CLEAR_STEP: Final = 200
"""Records that one step of ``clear`` removes: other writers wait that long."""

SWEEP_INTERVAL: Final = 64
"""Records written between two sweeps, each of which removes up to twice as many."""

_AFTER_UTF8: Final = b"\xff"
"""Sorts after all UTF-8."""


_log: Final = logging.getLogger("fibonacci.sqlite")


class SqliteStore(Store):
    """Records in one table of one file, which any number of processes share."""

    clock: Literal["server", "client"] = "client"
    # Only a busy database is transient, and Database.run() retries that.
    retry_transient_errors = False
    _needs_guard = False

    def __init__(self, options: ConnectionOptions) -> None:
        """Open nothing: the first operation does."""
        self._database = Database(options)
        self._written = SWEEP_INTERVAL  # the first write sweeps: some processes write little

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        row = self._database.run(sql.fetch_one, sql.READ, _row_key(address), deadline=deadline)
        return None if row is None else self._unexpired_value(address, *row)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        parameters = (data, *_row_key(address))
        self._database.run(sql.write, sql.WRITE, parameters, ttl_ms, deadline=deadline, writes=True)
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
        parameters: sql.Row = (data, *_row_key(address))
        if expected is ABSENT:
            new = None if ttl_ms is KEEP_TTL else ttl_ms
            written = self._write_unexpired(sql.CREATE, parameters, new, deadline)
        elif ttl_ms is KEEP_TTL:
            parameters = (*parameters, expected)
            written = self._execute_unexpired(sql.COMPARE_AND_SET_KEEP_TTL, parameters, deadline)
        else:
            parameters = (*parameters, expected)
            written = self._write_unexpired(sql.COMPARE_AND_SET, parameters, ttl_ms, deadline)
        self._sweep()
        return written

    def remove(self, address: Address, *, deadline: float) -> bool:
        return self._execute_unexpired(sql.REMOVE, _row_key(address), deadline)

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        row = self._database.run(sql.fetch_one, sql.REMAINING, _row_key(address), deadline=deadline)
        if row is None:
            return ABSENT
        (expires,) = row
        if not isinstance(expires, int | None):
            raise self._corrupt_error(address)
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
        start = prefix.encode() if cursor is None else _first_after(cursor)
        parameters = (_encode_space(space), start, prefix.encode() + _AFTER_UTF8)
        rows = self._database.run(
            sql.fetch_unexpired, sql.SCAN, parameters, limit, deadline=deadline
        )
        keys = [key for (raw,) in rows if (key := _decode_key(raw)) is not None]
        return Page(keys, _encode_cursor(rows[-1][0]) if len(rows) == limit else None)

    def close(self) -> None:
        """Close all connections; a later operation opens one, and closes it."""
        self._database.close()

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        row_keys = [_row_key(address) for address in addresses]
        rows = self._database.run(sql.fetch_each, sql.READ, row_keys, deadline=deadline)
        return [
            None if row is None else self._unexpired_value(address, *row)
            for address, row in zip(addresses, rows, strict=True)
        ]

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        parameter_sets = [(data, *_row_key(address)) for address, data in items]
        self._execute_each(partial(sql.write, ttl_ms=ttl_ms), sql.WRITE, parameter_sets, deadline)
        self._sweep(len(items))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        row_keys = [_row_key(address) for address in addresses]
        return self._execute_each(sql.execute_unexpired, sql.REMOVE, row_keys, deadline)

    def exists(self, address: Address, *, deadline: float) -> bool:
        return self.remaining_ttl_ms(address, deadline=deadline) is not ABSENT

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return self._write_unexpired(sql.TOUCH, _row_key(address), ttl_ms, deadline)

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        encoded, start = _encode_space(space), b"" if cursor is None else _first_after(cursor)
        step = (encoded, start, CLEAR_STEP - 1)
        last = self._database.run(sql.fetch_one, sql.LAST_OF_CLEAR_STEP, step, deadline=deadline)
        next_cursor = None if last is None else _encode_cursor(last[0])
        end = _AFTER_UTF8 if next_cursor is None else _first_after(next_cursor)
        parameters = (encoded, start, end)
        self._database.run(sql.execute, sql.CLEAR, parameters, deadline=deadline, writes=True)
        return next_cursor

    def _execute_unexpired(self, statement: str, parameters: sql.Row, deadline: float) -> bool:
        changed = self._database.run(
            sql.execute_unexpired, statement, parameters, deadline=deadline, writes=True
        )
        return changed == 1

    def _write_unexpired(
        self, statement: str, parameters: sql.Row, ttl_ms: int | None, deadline: float
    ) -> bool:
        written = self._database.run(
            sql.write_unexpired, statement, parameters, ttl_ms, deadline=deadline, writes=True
        )
        return written == 1

    def _execute_each(
        self,
        step: Callable[[Connection, str, sql.Row], int],
        statement: str,
        parameter_sets: Sequence[sql.Row],
        deadline: float,
    ) -> int:
        args = (step, statement, parameter_sets, deadline)
        return self._database.run(sql.execute_each, *args, deadline=deadline, writes=True)

    def _sweep(self, written: int = 1) -> None:
        """Now and then, remove some expired records. Errors are left to the next write."""
        self._written += written  # threads may lose a count or two, which does no harm
        if self._written < SWEEP_INTERVAL:
            return
        parameters = (now_ms(), 2 * self._written)
        self._written = 0
        try:
            deleted = self._database.run(
                sql.execute, sql.SWEEP, parameters, deadline=0, writes=True
            )
        except StorageError as error:
            # SQLite's own message: ours advises the caller, and nobody waits for a sweep.
            _log.debug("expired records were not deleted: %s", error.__cause__ or error)
        else:
            if deleted:
                _log.debug("expired records deleted: %d", deleted)

    def _unexpired_value(self, address: Address, value: Any, expires: Any) -> bytes | None:
        if type(value) is not bytes or not isinstance(expires, int | None):
            raise self._corrupt_error(address)
        return None if expires is not None and expires <= now_ms() else value

    def _corrupt_error(self, address: Address) -> CorruptRecordError:
        # The error names the record's key, which no log may.
        scope = address.space.scope
        _log.info("a record in %s scope was refused: its columns have other types", scope)
        return CorruptRecordError(
            f"{address} was not written by fibonacci-sqlite: its value must be a BLOB, and "
            f"expires_ms an INTEGER or NULL, in database {self._database.path!r}"
        )


@lru_cache(maxsize=1024)
def _encode_space(space: Space) -> bytes:
    return encode_parts(*space)


def _row_key(address: Address) -> tuple[bytes, bytes]:
    return _encode_space(address.space), address.key.encode()


def _decode_key(raw: bytes) -> str | None:
    """Return the key; None if it is not UTF-8, and so from another application."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _encode_cursor(raw: bytes) -> str:
    """Return the last key of a page as a cursor, even if it is not UTF-8."""
    return raw.decode(errors="surrogateescape")


def _first_after(cursor: str) -> bytes:
    """Return the smallest bytes that sort after the cursor's key."""
    return cursor.encode(errors="surrogateescape") + b"\0"
