"""The records, in a shape that both voices use: each method is one statement."""

from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from time import monotonic
from typing import Final

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, AsyncStore, KeepTTL, Page, Space
from fibonacci_postgres.schema import quoted
from fibonacci_postgres.server import Server
from fibonacci_postgres.settings import Settings
from fibonacci_postgres.statements import SWEPT_AT_ONCE, Parameters, Statement, statements
from fibonacci_postgres.voices import Voice
from fibonacci_postgres.wire import (
    NO_KEY_STARTS_SO,
    Place,
    array,
    column,
    columns,
    int4,
    milliseconds,
    parts,
    read_float8,
    read_int8,
    space_bytes,
    text,
)

CLEARED_AT_ONCE: Final = 10_000
NEXT: Final = b"\0"
"""A key with this behind it is the next one: no key holds it."""
TRUE: Final = b"\1"
SWEEP_EVERY: Final = 10.0
"""Seconds between two sweeps by one process, as long as the last one left nothing."""


class Records(AsyncStore):
    """The records of one table. In the sync voice nothing awaited here ever suspends."""

    def __init__(self, settings: Settings, voice: Voice) -> None:
        self._server = Server(settings, voice)
        self._do = statements(quoted(settings.table))
        self._next_sweep = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._server}>"

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        result = await self._server.ask(self._do.read, _parameters(address), deadline)
        return result.get_value(0, 0) if result.ntuples else None

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        parameters = [*_place(address), data, milliseconds(ttl_ms)]
        await self._server.ask(self._do.write, parameters, deadline)
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
        statement, more = self._swap(expected, ttl_ms)
        result = await self._server.ask(statement, [*_place(address), data, *more], deadline)
        return result.command_tuples == 1

    def _swap(
        self, expected: bytes | Absent, ttl_ms: int | KeepTTL | None
    ) -> tuple[Statement, Parameters]:
        """The statement that compares and sets, and its parameters behind the new bytes."""
        if expected is ABSENT:
            return self._do.create, [milliseconds(None if ttl_ms is KEEP_TTL else ttl_ms)]
        if ttl_ms is KEEP_TTL:
            return self._do.swap_keep, [expected]
        return self._do.swap, [milliseconds(ttl_ms), expected]

    async def remove(self, address: Address, *, deadline: float) -> bool:
        result = await self._server.ask(self._do.remove, _parameters(address), deadline)
        return result.ntuples == 1 and result.get_value(0, 0) == TRUE

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        result = await self._server.ask(self._do.remaining_ttl_ms, _parameters(address), deadline)
        if not result.ntuples:
            return ABSENT
        left = result.get_value(0, 0)
        return None if left is None else max(1, ceil(read_float8(left)))

    async def exists(self, address: Address, *, deadline: float) -> bool:
        result = await self._server.ask(self._do.remaining_ttl_ms, _parameters(address), deadline)
        return result.ntuples == 1

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        parameters = [*_place(address), milliseconds(ttl_ms)]
        result = await self._server.ask(self._do.touch, parameters, deadline)
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
        end = prefix.encode() + NO_KEY_STARTS_SO
        parameters: Parameters = [space_bytes(space), start, end, int4(limit)]
        keys = column(await self._server.ask(self._do.scan, parameters, deadline))
        follows = (keys[-1] + NEXT).hex() if len(keys) == limit else None
        return Page([key for raw in keys if (key := text(raw)) is not None], follows)

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        parameters: Parameters = [
            space_bytes(space),
            bytes.fromhex(cursor or ""),
            int4(CLEARED_AT_ONCE),
        ]
        result = await self._server.ask(self._do.clear, parameters, deadline)
        last = result.get_value(0, 0) if result.ntuples else None
        return None if last is None else (last + NEXT).hex()

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        places = list(map(_place, addresses))
        spaces = {space for space, _ in places}
        if len(spaces) > 1:
            result = await self._server.ask(self._do.read_many, columns(places), deadline)
            return column(result)
        # Of one space, as most are: three times faster.
        found: dict[bytes | None, bytes | None] = {}
        for space in spaces:
            parameters: Parameters = [space, array([key for _, key in places])]
            result = await self._server.ask(self._do.read_some, parameters, deadline)
            found = dict(zip(column(result), column(result, 1), strict=True))
        return [found.get(key) for _, key in places]

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        # Each record once, the last value counts; and in order, so that two batches never wait
        # for each other in a circle.
        rows = {_place(address): data for address, data in items}
        written = 0
        for part in parts(rows):
            values = array([rows[place] for place in part])
            parameters = [*columns(part), values, milliseconds(ttl_ms)]
            try:
                await self._server.ask(self._do.write_many, parameters, deadline)
            except BackendUnavailableError as fault:
                if not written:
                    raise
                message = f"{written} of {len(rows)} records were written, and then: {fault}"
                raise OutcomeUnknownError(message) from None
            written += len(part)
        if monotonic() >= self._next_sweep:
            await self._sweep(deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        if not addresses:
            return 0
        parameters = columns(list(map(_place, addresses)))
        result = await self._server.ask(self._do.remove_many, parameters, deadline)
        return read_int8(result.get_value(0, 0) or b"")

    async def close(self) -> None:
        self._server.close()

    async def _sweep(self, deadline: float) -> None:
        """Remove some expired rows, now and then; nothing depends on it."""
        now = monotonic()
        self._next_sweep = now + SWEEP_EVERY
        with suppress(StorageError):
            result = await self._server.ask(self._do.sweep, [], min(deadline, now + 1))
            if result.command_tuples == SWEPT_AT_ONCE:
                self._next_sweep = now


def _place(address: Address) -> Place:
    space, key = address
    return space_bytes(space), key.encode()


def _parameters(address: Address) -> Parameters:
    space, key = address
    return [space_bytes(space), key.encode()]
