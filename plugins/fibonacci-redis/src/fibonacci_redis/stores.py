"""The store in the sync voice."""

from collections.abc import Sequence

from fibonacci.plugin import Absent, Address, Keep, Page, Space, Store, run
from fibonacci_redis.batches import Batches
from fibonacci_redis.routes import Routes


class RedisStore(Store):
    """The operations over blocking nodes, which answer at once."""

    def __init__(self, routes: Routes) -> None:
        self._spoken = Batches(routes)

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return run(self._spoken.read(address, deadline=deadline))

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        run(self._spoken.write(address, data, ttl_ms, deadline=deadline))

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        return run(self._spoken.compare_and_set(address, expected, data, ttl_ms, deadline=deadline))

    def remove(self, address: Address, *, deadline: float) -> bool:
        return run(self._spoken.remove(address, deadline=deadline))

    def remaining(self, address: Address, *, deadline: float) -> int | Absent | None:
        return run(self._spoken.remaining(address, deadline=deadline))

    def exists(self, address: Address, *, deadline: float) -> bool:
        return run(self._spoken.exists(address, deadline=deadline))

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return run(self._spoken.touch(address, ttl_ms, deadline=deadline))

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
            self._spoken.scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        )

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        return run(self._spoken.clear(space, cursor=cursor, deadline=deadline))

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        return run(self._spoken.read_many(addresses, deadline=deadline))

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        run(self._spoken.write_many(items, ttl_ms, deadline=deadline))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        return run(self._spoken.remove_many(addresses, deadline=deadline))

    def close(self) -> None:
        run(self._spoken.close())
