"""Compare-and-set: one atomic step on the stored bytes, in the way that suits their size."""

from typing import Final

from fibonacci.plugin import ABSENT, KEEP, Absent, Address, Keep
from fibonacci_redis.layout import place
from fibonacci_redis.operations import Operations
from fibonacci_redis.requests import expiry
from fibonacci_redis.scripts import SWAP
from fibonacci_redis.wire import Request, pack, transaction

SCRIPTED: Final = 8 * 1024
"""Bytes up to which a script compares: it blocks the server while it copies them, at 64 KB for
0.24 ms. Above, this client compares, under WATCH."""

UNWATCH: Final = pack((b"UNWATCH",))


class Swap(Operations):
    """Compare-and-set."""

    async def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        if expected is ABSENT:
            return await self._create(address, data, ttl_ms, deadline)
        if max(len(expected), len(data)) > SCRIPTED:
            return await self._watch(address, expected, data, ttl_ms, deadline)
        where = place(address.space)
        key = where.head + address.key.encode()
        arguments = (expected, data, *expiry(ttl_ms))
        return bool(await self._call(SWAP, where, [key], *arguments, deadline=deadline))

    async def _create(
        self, address: Address, data: bytes, ttl_ms: int | Keep | None, deadline: float
    ) -> bool:
        where = place(address.space)
        name = address.key.encode()
        life = () if ttl_ms is KEEP else expiry(ttl_ms)
        request = transaction(
            where.slot,
            (b"ZADD", where.index, b"0", name),  # changes nothing where the record exists
            (b"SET", where.head + name, data, b"NX", *life),
        )
        created = (await self._ask(request, deadline))[-1][1] is not None
        self._remember(address)
        if created and life:
            await self._tidy(where, 1, deadline)
        return created

    async def _watch(
        self,
        address: Address,
        expected: bytes,
        data: bytes,
        ttl_ms: int | Keep | None,
        deadline: float,
    ) -> bool:
        where = place(address.space)
        key = where.head + address.key.encode()
        session, asked = await self._routes.session(where.slot, deadline)
        clean = False
        try:
            look = pack((b"WATCH", key)) + pack((b"GET", key))
            _, found = await asked(Request(where.slot, look, 2, False))
            if found == expected:
                change = transaction(where.slot, (b"SET", key, data, *expiry(ttl_ms)))
                done = (await asked(change))[-1] is not None
            else:
                await asked(Request(where.slot, UNWATCH, 1, False))
                done = False
            clean = True
        finally:
            session.end(clean=clean)
        return done
