"""The store in the sync voice, and the backend that makes both."""

from collections.abc import Sequence

from fibonacci.plugin import Absent, Address, AsyncStore, Keep, Page, Space, Store, run
from fibonacci_postgres.records import Records
from fibonacci_postgres.settings import Settings
from fibonacci_postgres.voices import Blocking, Looping


class PostgresStore(Store):
    """The records of one table, in the sync voice."""

    def __init__(self, settings: Settings) -> None:
        self._records = Records(settings, Blocking())

    def __repr__(self) -> str:
        return repr(self._records)

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return run(self._records.read(address, deadline=deadline))

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        run(self._records.write(address, data, ttl_ms, deadline=deadline))

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        return run(
            self._records.compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        )

    def remove(self, address: Address, *, deadline: float) -> bool:
        return run(self._records.remove(address, deadline=deadline))

    def remaining(self, address: Address, *, deadline: float) -> int | Absent | None:
        return run(self._records.remaining(address, deadline=deadline))

    def exists(self, address: Address, *, deadline: float) -> bool:
        return run(self._records.exists(address, deadline=deadline))

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return run(self._records.touch(address, ttl_ms, deadline=deadline))

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        return run(
            self._records.scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        )

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        return run(self._records.clear(space, cursor=cursor, deadline=deadline))

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        return run(self._records.read_many(addresses, deadline=deadline))

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        run(self._records.write_many(items, ttl_ms, deadline=deadline))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        return run(self._records.remove_many(addresses, deadline=deadline))

    def close(self) -> None:
        run(self._records.close())


def connect(settings: Settings) -> Store:
    """Return a store for this process."""
    return PostgresStore(settings)


def aconnect(settings: Settings) -> AsyncStore:
    """Return a store for the running event loop."""
    return Records(settings, Looping())
