"""Compare-and-set: one atomic step on the stored bytes, in the way that suits their size."""

from typing import Final

from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, KeepTTL
from fibonacci_redis.layout import place
from fibonacci_redis.operations import Operations
from fibonacci_redis.requests import expiry, life, listed
from fibonacci_redis.scripts import CREATE, SWAP
from fibonacci_redis.wire import Request, pack, pack_set, transaction

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
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        if expected is ABSENT:
            return await self._create(address, data, ttl_ms, deadline)
        if max(len(expected), len(data)) > SCRIPTED:
            return await self._watch(address, expected, data, ttl_ms, deadline)
        where = place(address.space)
        key = where.head + address.key.encode()
        keys = [key] if ttl_ms is KEEP_TTL else [key, where.index]
        arguments = (expected, data, *expiry(ttl_ms))
        return bool(await self._call(SWAP, where, keys, *arguments, deadline=deadline))

    async def _create(
        self, address: Address, data: bytes, ttl_ms: int | KeepTTL | None, deadline: float
    ) -> bool:
        where = place(address.space)
        name = address.key.encode()
        lasts = None if ttl_ms is KEEP_TTL else ttl_ms
        key, options = where.head + name, expiry(lasts)
        if len(data) > SCRIPTED:
            # Listing it changes nothing where the record exists.
            record = pack_set(key, data, (b"NX", *options))
            request = transaction(where.slot, *listed(where, name, lasts), record)
            created = (await self._ask(request, deadline))[-1][-1] is not None
        else:
            keys, arguments = [key, where.index], (data, name, *options)
            created = bool(await self._call(CREATE, where, keys, *arguments, deadline=deadline))
        self._remember(address)
        if created and options:
            await self._tidy(where, 1, deadline)
        return created

    async def _watch(
        self,
        address: Address,
        expected: bytes,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
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
                record = pack_set(key, data, expiry(ttl_ms))
                index = () if ttl_ms is KEEP_TTL else (life(where, ttl_ms),)
                done = (await asked(transaction(where.slot, *index, record)))[-1] is not None
            else:
                await asked(Request(where.slot, UNWATCH, 1, False))
                done = False
            clean = True
        finally:
            session.end(clean=clean)
        return done
