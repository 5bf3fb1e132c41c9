"""Many records at once: a request for each space, all of them sent together."""

from collections.abc import Iterable, Iterator, Sequence

from fibonacci.plugin import Address, Space
from fibonacci_redis.layout import Place, place
from fibonacci_redis.listing import Listing
from fibonacci_redis.portion import STEP, Portion
from fibonacci_redis.requests import removal
from fibonacci_redis.wire import Request, pack


class Batches(Listing):
    """Many records of any spaces."""

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        found: list[bytes | None] = [None] * len(addresses)
        asked = list(_by_space(addresses))
        requests = []
        for where, _, names in asked:
            head = where.head
            command = (b"MGET", *[head + name for name in names])
            requests.append(Request(where.slot, pack(command), 1, False))
        answers = await self._routes.ask_all(requests, deadline)
        for (_, positions, _), [values] in zip(asked, answers, strict=True):
            for position, value in zip(positions, values, strict=True):
                found[position] = value
        return found

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        portions: list[Portion] = []
        open_ones: dict[Space, Portion] = {}
        for (space, key), data in items:
            portion = open_ones.get(space)
            if portion is None or portion.size > STEP:
                portion = open_ones[space] = Portion(place(space), ttl_ms)
                portions.append(portion)
            portion.add(key.encode(), data)
        await self._routes.ask_all([portion.request() for portion in portions], deadline)
        if ttl_ms is not None:
            for portion in portions:
                await self._tidy(portion.where, portion.count, deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        # A record that is named twice goes once.
        requests = [removal(where, names) for where, _, names in _by_space(addresses)]
        answers = await self._routes.ask_all(requests, deadline)
        return sum(replies[-1][0] for replies in answers)


Names = tuple[Place, list[int], list[bytes]]
"""A space's keys, where in the batch they stand, and how the index names them."""


def _by_space(addresses: Iterable[Address]) -> Iterator[Names]:
    spaces: dict[Space, tuple[list[int], list[bytes]]] = {}
    for position, (space, key) in enumerate(addresses):
        there = spaces.get(space)
        if there is None:
            there = spaces[space] = ([], [])
        there[0].append(position)
        there[1].append(key.encode())
    for space, (positions, names) in spaces.items():
        yield place(space), positions, names
