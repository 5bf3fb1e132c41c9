"""Many records at once: a request for each space, all of them sent together."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fibonacci.plugin import Address, Space
from fibonacci_redis.layout import Place, place
from fibonacci_redis.listing import Listing
from fibonacci_redis.requests import expiry, removal
from fibonacci_redis.wire import Request, pack, transaction

STEP: Final = 256 * 1024
"""Bytes written in one atomic step: well under a millisecond of the server's time."""


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
        spaces = [
            (where, [(name, items[at][1]) for at, name in zip(positions, names, strict=True)])
            for where, positions, names in _by_space([address for address, _ in items])
        ]
        requests = [
            _writing(where, some, ttl_ms) for where, records in spaces for some in _steps(records)
        ]
        await self._routes.ask_all(requests, deadline)
        if ttl_ms is not None:
            for where, records in spaces:
                await self._tidy(where, len(records), deadline)

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


def _steps(records: list[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    """The records in portions of so many bytes."""
    start = size = 0
    for end, (_, data) in enumerate(records):
        if size and size + len(data) > STEP:
            yield records[start:end]
            start, size = end, 0
        size += len(data)
    yield records[start:]


def _writing(where: Place, records: list[tuple[bytes, bytes]], ttl_ms: int | None) -> Request:
    head = where.head
    index = [part for name, _ in records for part in (b"0", name)]
    if ttl_ms is None:
        values = [part for name, data in records for part in (head + name, data)]
        commands = [(b"MSET", *values)]
    else:
        life = expiry(ttl_ms)
        commands = [(b"SET", head + name, data, *life) for name, data in records]
    return transaction(where.slot, (b"ZADD", where.index, *index), *commands)
