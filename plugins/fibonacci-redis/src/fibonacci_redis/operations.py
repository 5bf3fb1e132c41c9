"""What each method of the store asks of Redis, written once for both voices."""

from contextlib import suppress
from random import random
from typing import Any, Final

from fibonacci.errors import StorageError
from fibonacci.plugin import ABSENT, Absent, Address, AsyncStore
from fibonacci_redis.layout import Place, named, place
from fibonacci_redis.requests import expiry, life, listed, removal, replacement
from fibonacci_redis.routes import Routes
from fibonacci_redis.scripts import LAST, PRUNE, Script
from fibonacci_redis.wire import GET, ReplyError, Request, pack, pack_key, pack_set, transaction

PRUNED: Final = 100
"""Index entries looked at in one atomic step."""

SMALL: Final = 8 * 1024
"""Bytes of a value up to which a request arrives at the server in one piece, mostly."""

KNOWN: Final = 10_000
"""Records remembered as written, so that they are probably there."""

TIDY_EVERY: Final = 32
"""One in so many writes of expiring records looks for dead entries in its index …"""

TIDY_SAMPLE: Final = 64
"""… among so many, taken by chance: so at most about half of an index is dead for long."""


class Operations(AsyncStore):
    """One record at a time."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._ask = routes.ask
        self._known: set[Address] = set()
        """Records that were written."""

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        where = place(address.space)
        data = pack_key(GET, where.head + address.key.encode())
        found: bytes | None = (await self._ask(Request(where.slot, data, 1, False), deadline))[0]
        return found

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        where = place(address.space)
        name = address.key.encode()
        key = where.head + name
        # A record that exists is listed, so replacing it takes 15 % less than creating it.
        if address in self._known and len(data) <= SMALL:
            both = replacement(where, key, data, ttl_ms)
            if (await self._ask(Request(where.slot, both, 2, True), deadline))[1] is not None:
                return
        record = pack_set(key, data, expiry(ttl_ms))
        request = transaction(where.slot, *listed(where, name, ttl_ms), record)
        await self._ask(request, deadline)
        self._remember(address)
        if ttl_ms is not None:
            await self._tidy(where, 1, deadline)

    async def remove(self, address: Address, *, deadline: float) -> bool:
        where = place(address.space)
        request = removal(where, [address.key.encode()])
        return bool((await self._ask(request, deadline))[-1][0])

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        where = place(address.space)
        data = pack((b"PTTL", where.head + address.key.encode()))
        [left] = await self._ask(Request(where.slot, data, 1, False), deadline)
        if left == -2:
            return ABSENT
        return None if left == -1 else max(1, left)

    async def exists(self, address: Address, *, deadline: float) -> bool:
        where = place(address.space)
        data = pack((b"EXISTS", where.head + address.key.encode()))
        return bool((await self._ask(Request(where.slot, data, 1, False), deadline))[0])

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        where = place(address.space)
        key = where.head + address.key.encode()
        if ttl_ms is not None:
            # At one, PEXPIRE removes the record at once if the server's clock ticks meanwhile:
            # it takes an expiry that is now as past (expire.c, checkAlreadyExpired), SET does not.
            touched = pack((b"PEXPIRE", key, b"%d" % max(2, ttl_ms)))
            request = Request(where.slot, life(where, ttl_ms) + touched, 2, True)
            return bool((await self._ask(request, deadline))[1])
        return bool(await self._call(LAST, where, [key, where.index], deadline=deadline))

    async def close(self) -> None:
        self._routes.close()

    def _remember(self, address: Address) -> None:
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known.add(address)

    async def _tidy(self, where: Place, written: int, deadline: float) -> None:
        """Now and then, take dead entries out of the index: expiring records nobody lists."""
        if random() * TIDY_EVERY >= written:  # noqa: S311 - no secret
            return
        count = max(TIDY_SAMPLE, 2 * written)
        sample = Request(where.slot, pack((b"ZRANDMEMBER", where.index, b"%d" % count)), 1, False)
        with suppress(StorageError):  # what was asked for is done
            [names] = await self._ask(sample, deadline)
            await self._prune(where, names, deadline)

    async def _prune(self, where: Place, names: list[bytes], deadline: float) -> None:
        """Take out of the index what has no record, in bounded atomic steps."""
        for start in range(0, len(names), PRUNED):
            some = names[start : start + PRUNED]
            keys = [where.index, *named(where, some)]
            await self._call(PRUNE, where, keys, *some, deadline=deadline)

    async def _call(
        self, script: Script, where: Place, keys: list[bytes], *arguments: bytes, deadline: float
    ) -> Any:
        """Call a script; a server that does not know it has done nothing, and gets it in full."""
        try:
            [reply] = await self._ask(script.request(where.slot, keys, *arguments), deadline)
        except ReplyError:
            request = script.request(where.slot, keys, *arguments, full=True)
            [reply] = await self._ask(request, deadline)
        return reply
