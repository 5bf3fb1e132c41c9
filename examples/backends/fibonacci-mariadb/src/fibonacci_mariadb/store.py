"""The store, written once: its statements block in sync code, and await in async code."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil
from typing import Any, Final, TypeVar

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, ValueTooLargeError
from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, AsyncStore, KeepTTL, Page, Space
from fibonacci_mariadb.database import Database, Driver
from fibonacci_mariadb.settings import Settings
from fibonacci_mariadb.statements import NAMES_SIZE, Statements, row_key

CLEAR_LIMIT: Final = 1_000
MAX_BATCH: Final = 500
"""Records of one statement; MariaDB makes a temporary table of a longer list of names."""

T = TypeVar("T")


class MariadbStore(AsyncStore):
    """The records in one table. With a BlockingDriver its coroutines never suspend."""

    def __init__(self, settings: Settings, driver: Driver) -> None:
        self._server = settings.server
        self._sql = Statements(settings.table)
        self._database = Database(settings.server, driver, self._sql.create_table())

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        rows = await self._database.select(self._sql.read(address), deadline)
        return rows[0][0] if rows else None

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        await self.write_many([(address, data)], ttl_ms, deadline=deadline)

    async def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        self._check_size(address, data, await self._database.packet_size(deadline))
        if expected is not ABSENT:
            statement = self._sql.replace(address, expected, data, ttl_ms)
            return await self._database.change(statement, deadline) == 1
        # Nobody sees an expired record, so its removal changes nothing. After it a record that
        # keeps the insertion from succeeding was written, and lived, during this call.
        await self._database.select(self._sql.remove_expired(address), deadline)
        statement = self._sql.insert(address, data, None if ttl_ms is KEEP_TTL else ttl_ms)
        return await self._database.change(statement, deadline) == 1

    async def remove(self, address: Address, *, deadline: float) -> bool:
        return await self.remove_many([address], deadline=deadline) == 1

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        rows = await self._database.select(self._sql.remaining(address), deadline)
        if not rows:
            return ABSENT
        microseconds = rows[0][0]
        return None if microseconds is None else max(1, ceil(microseconds / 1000))

    async def exists(self, address: Address, *, deadline: float) -> bool:
        return bool(await self._database.select(self._sql.remaining(address), deadline))

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return await self._database.change(self._sql.touch(address, ttl_ms), deadline) == 1

    async def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        after = None if cursor is None else bytes.fromhex(cursor)
        statement = self._sql.scan(space, prefix.encode(), after, limit)
        names = [name for (name,) in await self._database.select(statement, deadline)]
        keys = [key for key in map(_decode, names) if key is not None]
        return Page(keys, names[-1].hex() if len(names) == limit else None)

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        statement = self._sql.clear(space, bytes.fromhex(cursor or ""), CLEAR_LIMIT)
        rows = await self._database.change_returning(statement, deadline)
        return max(rows)[0].hex() if len(rows) == CLEAR_LIMIT else None

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        packet_size = await self._database.packet_size(deadline)
        found: dict[tuple[bytes, bytes], bytes] = {}
        for batch in _batches(addresses, _no_data, packet_size):
            rows = await self._database.select(self._sql.read_many(batch), deadline)
            found |= {(space, name): value for space, name, value in rows}
        return [found.get(row_key(address)) for address in addresses]

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        packet_size = await self._database.packet_size(deadline)
        for address, data in items:
            self._check_size(address, data, packet_size)
        # Each record once, and all batches in the same order: so they don't deadlock.
        rows = sorted(dict(items).items(), key=lambda row: row_key(row[0]))
        batches = _batches(rows, lambda row: len(row[1]), packet_size)
        await self._change_all((self._sql.write(batch, ttl_ms) for batch in batches), deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        batches = _batches(addresses, _no_data, await self._database.packet_size(deadline))
        rows = await self._change_all((self._sql.remove(batch) for batch in batches), deadline)
        return sum(unexpired for (unexpired,) in rows)

    async def close(self) -> None:
        self._database.close()

    async def _change_all(self, statements: Iterable[bytes], deadline: float) -> list[Any]:
        """Run the statements of one call, and return the rows that they changed."""
        rows: list[Any] = []
        for number, statement in enumerate(statements):
            try:
                rows += await self._database.change_returning(statement, deadline)
            except BackendUnavailableError as error:
                if not number:
                    raise
                text = f"only some of the records were changed: {error}"
                raise OutcomeUnknownError(text) from None
        return rows

    def _check_size(self, address: Address, data: bytes, packet_size: int) -> None:
        limit = max(0, packet_size - 2 * NAMES_SIZE) // 2
        if len(data) > limit:
            raise ValueTooLargeError(
                f"the value of {address} has {len(data):,} bytes; {self._server} takes up to "
                f"{limit:,}, which is half of its max_allowed_packet",
                size=len(data),
                limit=limit,
            )


def _batches(
    items: Sequence[T], data_size: Callable[[T], int], packet_size: int
) -> Iterator[list[T]]:
    """Yield the items of one statement each."""
    batch: list[T] = []
    size = NAMES_SIZE  # the statement itself
    for item in items:
        item_size = 2 * data_size(item) + NAMES_SIZE
        if batch and (size + item_size > packet_size or len(batch) == MAX_BATCH):
            yield batch
            batch, size = [], NAMES_SIZE
        batch.append(item)
        size += item_size
    if batch:
        yield batch


def _no_data(_: Address) -> int:
    return 0


def _decode(name: bytes) -> str | None:
    """Return a key; None for a name that another program wrote."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None
