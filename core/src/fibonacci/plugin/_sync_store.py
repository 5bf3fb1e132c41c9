"""A sync store over one that is written once for both voices."""

from collections.abc import Sequence

from fibonacci.plugin._async_store import Absent, AsyncStore, Keep, Page
from fibonacci.plugin._run import run
from fibonacci.plugin.address import Address, Space
from fibonacci.plugin.storage import Store


class SyncStore(Store):
    """Speaks plainly for a store in the async shape whose connections block, and never suspend.

    For a backend that writes its operations once, as coroutines: over connections that it awaits
    they are its AsyncStore, over connections that block they are its Store, through this.
    """

    def __init__(self, spoken: AsyncStore) -> None:
        """Speak for this store, which no event loop has."""
        self.spoken = spoken
        self.clock = spoken.clock
        self.remote = spoken.remote

    def __repr__(self) -> str:
        """That of the store it speaks for."""
        return repr(self.spoken)

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return run(self.spoken.read(address, deadline=deadline))

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        run(self.spoken.write(address, data, ttl_ms, deadline=deadline))

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        return run(self.spoken.compare_and_set(address, expected, data, ttl_ms, deadline=deadline))

    def remove(self, address: Address, *, deadline: float) -> bool:
        return run(self.spoken.remove(address, deadline=deadline))

    def remaining(self, address: Address, *, deadline: float) -> int | Absent | None:
        return run(self.spoken.remaining(address, deadline=deadline))

    def exists(self, address: Address, *, deadline: float) -> bool:
        return run(self.spoken.exists(address, deadline=deadline))

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        return run(self.spoken.touch(address, ttl_ms, deadline=deadline))

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
            self.spoken.scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        )

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        return run(self.spoken.clear(space, cursor=cursor, deadline=deadline))

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        return run(self.spoken.read_many(addresses, deadline=deadline))

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        run(self.spoken.write_many(items, ttl_ms, deadline=deadline))

    def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        return run(self.spoken.remove_many(addresses, deadline=deadline))

    def close(self) -> None:
        run(self.spoken.close())
