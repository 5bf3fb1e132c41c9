"""What each method of the store asks of Redis, written once for both voices."""

from collections.abc import Sequence
from typing import Any

from fibonacci.plugin import ABSENT, KEEP, Absent, Address, AsyncStore, Keep
from fibonacci_redis.layout import Place, place
from fibonacci_redis.routes import Routes
from fibonacci_redis.scripts import SWAP, Script
from fibonacci_redis.wire import ReplyError, Request, pack, transaction


def expiry(ttl_ms: int | Keep | None) -> tuple[Any, ...]:
    """Return the arguments of SET for an expiry."""
    if ttl_ms is None:
        return ()
    return (b"KEEPTTL",) if ttl_ms is KEEP else (b"PX", ttl_ms)


class Operations(AsyncStore):
    """One record at a time."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._ask = routes.ask

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        where = place(address.space)
        data = pack((b"GET", where.head + address.key.encode()))
        return (await self._ask(Request(where.slot, data, 1, False), deadline))[0]

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        where = place(address.space)
        name = address.key.encode()
        request = transaction(
            where.slot,
            (b"ZADD", where.index, 0, name),
            (b"SET", where.head + name, data, *expiry(ttl_ms)),
        )
        await self._ask(request, deadline)

    async def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        where = place(address.space)
        name = address.key.encode()
        key = where.head + name
        if expected is ABSENT:
            life = () if ttl_ms is KEEP else expiry(ttl_ms)
            # Where the record exists it is listed already, so ZADD changes nothing.
            request = transaction(
                where.slot, (b"ZADD", where.index, 0, name), (b"SET", key, data, b"NX", *life)
            )
            return (await self._ask(request, deadline))[-1][1] is not None
        arguments = (expected, data, *expiry(ttl_ms))
        return bool(await self._call(SWAP, where, [key], *arguments, deadline=deadline))

    async def remove(self, address: Address, *, deadline: float) -> bool:
        where = place(address.space)
        name = address.key.encode()
        request = transaction(
            where.slot, (b"UNLINK", where.head + name), (b"ZREM", where.index, name)
        )
        return (await self._ask(request, deadline))[-1][0] == 1

    async def remaining(self, address: Address, *, deadline: float) -> int | Absent | None:
        where = place(address.space)
        data = pack((b"PTTL", where.head + address.key.encode()))
        [left] = await self._ask(Request(where.slot, data, 1, False), deadline)
        if left == -2:
            return ABSENT
        return None if left == -1 else max(1, left)

    async def exists(self, address: Address, *, deadline: float) -> bool:
        where = place(address.space)
        data = pack((b"EXISTS", where.head + address.key.encode()))
        return (await self._ask(Request(where.slot, data, 1, False), deadline))[0] == 1

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        where = place(address.space)
        key = where.head + address.key.encode()
        if ttl_ms is not None:
            request = Request(where.slot, pack((b"PEXPIRE", key, ttl_ms)), 1, True)
            return (await self._ask(request, deadline))[0] == 1
        # PERSIST says 0 also of a record without an expiry.
        request = transaction(where.slot, (b"EXISTS", key), (b"PERSIST", key))
        return (await self._ask(request, deadline))[-1][0] == 1

    async def close(self) -> None:
        await self._routes.close()

    async def _call(
        self, script: Script, where: Place, keys: list[bytes], *arguments: Any, deadline: float
    ) -> Any:
        """Call a script; a server that does not know it has done nothing, and gets it in full."""
        try:
            [reply] = await self._ask(script.request(where.slot, keys, *arguments), deadline)
        except ReplyError:
            request = script.request(where.slot, keys, *arguments, full=True)
            [reply] = await self._ask(request, deadline)
        return reply
