"""Many records at once, in one request for each hash slot."""

from collections.abc import Sequence

from fibonacci.plugin import Address
from fibonacci_redis.layout import by_space, named, place
from fibonacci_redis.listing import Listing
from fibonacci_redis.operations import expiry
from fibonacci_redis.wire import Request, pack, transaction


class Batches(Listing):
    """Many records of any spaces."""

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        found: dict[Address, bytes | None] = {}
        slots: dict[int, list[Address]] = {}
        for address in addresses:
            slots.setdefault(self._routes.group(place(address.space).slot), []).append(address)
        for some in slots.values():
            keys = [place(space).head + key.encode() for space, key in some]
            request = Request(place(some[0].space).slot, pack((b"MGET", *keys)), 1, False)
            found.update(zip(some, (await self._ask(request, deadline))[0], strict=True))
        return [found[address] for address in addresses]

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        records = dict(items)
        for space, names in by_space(list(records)).items():
            where = place(space)
            index = [part for name in names for part in (0, name)]
            values = [
                (b"SET", where.head + address.key.encode(), data, *expiry(ttl_ms))
                for address, data in records.items()
                if address.space == space
            ]
            await self._ask(
                transaction(where.slot, (b"ZADD", where.index, *index), *values), deadline
            )

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        removed = 0
        for space, names in by_space(list(addresses)).items():
            where = place(space)
            request = transaction(
                where.slot, (b"UNLINK", *named(where, names)), (b"ZREM", where.index, *names)
            )
            removed += (await self._ask(request, deadline))[-1][0]
        return removed
