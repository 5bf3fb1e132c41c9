"""Many records at once: a request for each space, all of them sent together."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

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
        if not addresses:
            return []
        spaces = _by_space(addresses)
        requests = []
        for space, keys in spaces.items():
            where = place(space)
            data = pack((b"MGET", *[where.head + key.encode() for key in keys]))
            requests.append(Request(where.slot, data, 1, False))
        answers = await self._routes.ask_all(requests, deadline)
        found: dict[Address, bytes | None] = {}
        for (space, keys), [values] in zip(spaces.items(), answers, strict=True):
            found.update(zip([Address(space, key) for key in keys], values, strict=True))
        return [found[address] for address in addresses]

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        spaces: dict[Space, dict[bytes, bytes]] = {}
        for (space, key), data in items:
            spaces.setdefault(space, {})[key.encode()] = data
        requests = [
            _writing(place(space), some, ttl_ms)
            for space, records in spaces.items()
            for some in _steps(records)
        ]
        if not requests:
            return
        await self._routes.ask_all(requests, deadline)
        if ttl_ms is not None:
            for space, records in spaces.items():
                await self._tidy(place(space), len(records), deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        requests = []
        for space, keys in _by_space(addresses).items():
            where, names = place(space), [key.encode() for key in keys]
            requests.append(removal(where, names))
        answers = await self._routes.ask_all(requests, deadline) if requests else []
        return sum(replies[-1][0] for replies in answers)


def _by_space(addresses: Sequence[Address]) -> dict[Space, list[str]]:
    spaces: dict[Space, dict[str, None]] = {}
    for space, key in addresses:
        spaces.setdefault(space, {})[key] = None
    return {space: list(keys) for space, keys in spaces.items()}


def _steps(records: dict[bytes, bytes]) -> Iterator[dict[bytes, bytes]]:
    some: dict[bytes, bytes] = {}
    size = 0
    for name, data in records.items():
        if some and size + len(data) > STEP:
            yield some
            some, size = {}, 0
        some[name] = data
        size += len(data)
    if some:
        yield some


def _writing(where: Place, records: dict[bytes, bytes], ttl_ms: int | None) -> Request:
    index: list[Any] = [part for name in records for part in (0, name)]
    if ttl_ms is None:
        values = [part for name, data in records.items() for part in (where.head + name, data)]
        commands = [(b"MSET", *values)]
    else:
        commands = [
            (b"SET", where.head + name, data, *expiry(ttl_ms)) for name, data in records.items()
        ]
    return transaction(where.slot, (b"ZADD", where.index, *index), *commands)
