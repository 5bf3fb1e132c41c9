"""The store: most methods execute one statement."""

import logging
from collections.abc import Sequence
from math import ceil
from time import monotonic
from typing import Final

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, AsyncStore, KeepTTL, Page, Space
from fibonacci_postgres.codec import (
    KEY_UPPER_BOUND,
    RowKey,
    column_values,
    decode_float8,
    decode_int8,
    decode_key,
    encode_bytea_array,
    encode_int4,
    encode_row_keys,
    encode_space,
    encode_ttl,
    split_batches,
)
from fibonacci_postgres.executor import Executor
from fibonacci_postgres.schema import quote_name
from fibonacci_postgres.settings import Settings
from fibonacci_postgres.statements import (
    SWEEP_BATCH_SIZE,
    Parameters,
    Statement,
    build_statements,
)
from fibonacci_postgres.waiting import WaitStrategy

CLEAR_BATCH_SIZE: Final = 10_000
NEXT_KEY_SUFFIX: Final = b"\0"
"""A key followed by this sorts right after the key, and no key contains it."""
TRUE: Final = b"\1"
SWEEP_INTERVAL: Final = 10.0
"""Seconds between two sweeps by one process, unless a sweep left expired rows."""


_log: Final = logging.getLogger("fibonacci.postgres")


class PostgresStore(AsyncStore):
    """The records in one table. With a BlockingWait its coroutines never suspend."""

    def __init__(self, settings: Settings, strategy: WaitStrategy) -> None:
        self._executor = Executor(settings, strategy)
        self._statements = build_statements(quote_name(settings.table))
        self._next_sweep = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._executor}>"

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        parameters: Parameters = [*_row_key(address)]
        result = await self._executor.execute(self._statements.read, parameters, deadline)
        return result.get_value(0, 0) if result.ntuples else None

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        parameters = [*_row_key(address), data, encode_ttl(ttl_ms)]
        await self._executor.execute(self._statements.write, parameters, deadline)
        if monotonic() >= self._next_sweep:
            await self._sweep(deadline)

    async def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        statement, more = self._compare_and_set_statement(expected, ttl_ms)
        parameters = [*_row_key(address), data, *more]
        result = await self._executor.execute(statement, parameters, deadline)
        return result.command_tuples == 1

    def _compare_and_set_statement(
        self, expected: bytes | Absent, ttl_ms: int | KeepTTL | None
    ) -> tuple[Statement, Parameters]:
        """Return the statement, and its parameters after the new bytes."""
        if expected is ABSENT:
            return self._statements.create, [encode_ttl(None if ttl_ms is KEEP_TTL else ttl_ms)]
        if ttl_ms is KEEP_TTL:
            return self._statements.compare_and_set_keep_ttl, [expected]
        return self._statements.compare_and_set, [encode_ttl(ttl_ms), expected]

    async def remove(self, address: Address, *, deadline: float) -> bool:
        parameters: Parameters = [*_row_key(address)]
        result = await self._executor.execute(self._statements.remove, parameters, deadline)
        return result.ntuples == 1 and result.get_value(0, 0) == TRUE

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        parameters: Parameters = [*_row_key(address)]
        result = await self._executor.execute(
            self._statements.remaining_ttl_ms, parameters, deadline
        )
        if not result.ntuples:
            return ABSENT
        ttl_ms = result.get_value(0, 0)
        return None if ttl_ms is None else max(1, ceil(decode_float8(ttl_ms)))

    async def exists(self, address: Address, *, deadline: float) -> bool:
        parameters: Parameters = [*_row_key(address)]
        result = await self._executor.execute(
            self._statements.remaining_ttl_ms, parameters, deadline
        )
        return result.ntuples == 1

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        parameters = [*_row_key(address), encode_ttl(ttl_ms)]
        result = await self._executor.execute(self._statements.touch, parameters, deadline)
        return result.command_tuples == 1

    async def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        start = prefix.encode() if cursor is None else bytes.fromhex(cursor)
        end = prefix.encode() + KEY_UPPER_BOUND
        parameters: Parameters = [encode_space(space), start, end, encode_int4(limit)]
        result = await self._executor.execute(self._statements.scan, parameters, deadline)
        encoded_keys = column_values(result)
        is_full = len(encoded_keys) == limit
        next_cursor = (encoded_keys[-1] + NEXT_KEY_SUFFIX).hex() if is_full else None
        keys = map(decode_key, encoded_keys)
        return Page([key for key in keys if key is not None], next_cursor)

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        parameters: Parameters = [
            encode_space(space),
            bytes.fromhex(cursor or ""),
            encode_int4(CLEAR_BATCH_SIZE),
        ]
        result = await self._executor.execute(self._statements.clear, parameters, deadline)
        last_key = result.get_value(0, 0) if result.ntuples else None
        return None if last_key is None else (last_key + NEXT_KEY_SUFFIX).hex()

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        row_keys = list(map(_row_key, addresses))
        spaces = {space for space, _ in row_keys}
        if len(spaces) > 1:
            statement, arrays = self._statements.read_many, encode_row_keys(row_keys)
            return column_values(await self._executor.execute(statement, arrays, deadline))
        # Most calls read from one space, for which this statement is three times faster.
        records: dict[bytes | None, bytes | None] = {}
        for space in spaces:
            statement = self._statements.read_many_of_space
            parameters: Parameters = [space, encode_bytea_array([key for _, key in row_keys])]
            result = await self._executor.execute(statement, parameters, deadline)
            records = dict(zip(column_values(result), column_values(result, 1), strict=True))
        return [records.get(key) for _, key in row_keys]

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        # Each record once, with its last value; and in order, so that two batches don't deadlock.
        rows = {_row_key(address): data for address, data in items}
        written = 0
        for batch in split_batches(rows):
            values = encode_bytea_array([rows[row_key] for row_key in batch])
            parameters = [*encode_row_keys(batch), values, encode_ttl(ttl_ms)]
            try:
                await self._executor.execute(self._statements.write_many, parameters, deadline)
            except BackendUnavailableError as error:
                if not written:
                    raise
                raise OutcomeUnknownError(
                    f"{written} of {len(rows)} records were written before an error: {error}"
                ) from None
            written += len(batch)
        if monotonic() >= self._next_sweep:
            await self._sweep(deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        if not addresses:
            return 0
        parameters = encode_row_keys(list(map(_row_key, addresses)))
        result = await self._executor.execute(self._statements.remove_many, parameters, deadline)
        return decode_int8(result.get_value(0, 0) or b"")

    async def close(self) -> None:
        self._executor.close()

    async def _sweep(self, deadline: float) -> None:
        """Delete some expired rows; nothing depends on it, so errors are ignored."""
        now = monotonic()
        self._next_sweep = now + SWEEP_INTERVAL
        try:
            result = await self._executor.execute(
                self._statements.sweep, [], min(deadline, now + 1)
            )
        except StorageError as error:
            _log.info("expired records were not deleted: %s", error)
            return
        if result.command_tuples:
            _log.debug("expired records deleted: %d", result.command_tuples)
        if result.command_tuples == SWEEP_BATCH_SIZE:
            self._next_sweep = now


def _row_key(address: Address) -> RowKey:
    space, key = address
    return encode_space(space), key.encode()
