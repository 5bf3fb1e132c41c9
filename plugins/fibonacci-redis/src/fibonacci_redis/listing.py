"""Listing and clearing a space: by its index, in pages."""

from fibonacci.plugin import Page, Space
from fibonacci_redis.layout import Place, named, place
from fibonacci_redis.requests import removal
from fibonacci_redis.swap import Swap
from fibonacci_redis.wire import Request, pack

CHUNK = 1000
"""Records cleared in one atomic step: about a millisecond of the server's time."""


class Listing(Swap):
    """Many records of one space."""

    async def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        where = place(space)
        names, more = await self._page(where, prefix.encode(), cursor, limit, deadline)
        live = await self._live(where, names, deadline)
        keys = [key for key in map(_key, live) if key is not None]
        return Page(keys, _cursor(names[-1]) if more else None)

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        where = place(space)
        names, more = await self._page(where, b"", cursor, CHUNK, deadline)
        if names:
            await self._ask(removal(where, names), deadline)
        return _cursor(names[-1]) if more else None

    async def _page(
        self, where: Place, prefix: bytes, cursor: str | None, limit: int, deadline: float
    ) -> tuple[list[bytes], bool]:
        """The index's next names, dead ones among them, and whether there are more."""
        start = b"[" + prefix if cursor is None else b"(" + _after(cursor)
        end = b"(" + prefix + b"\xff" if prefix else b"+"  # no UTF-8 has the byte FF
        bounds = (b"BYLEX", b"LIMIT", b"0", b"%d" % (limit + 1))
        command = (b"ZRANGE", where.index, start, end, *bounds)
        [names] = await self._ask(Request(where.slot, pack(command), 1, False), deadline)
        return names[:limit], len(names) > limit

    async def _live(self, where: Place, names: list[bytes], deadline: float) -> list[bytes]:
        """Those of the names that have a record; the others leave the index."""
        if not names:
            return names
        keys = named(where, names)
        count = Request(where.slot, pack((b"EXISTS", *keys)), 1, False)
        if (await self._ask(count, deadline))[0] == len(names):
            return names
        each = b"".join(pack((b"EXISTS", key)) for key in keys)
        found = await self._ask(Request(where.slot, each, len(keys), False), deadline)
        dead = [name for name, there in zip(names, found, strict=True) if not there]
        await self._prune(where, dead, deadline)
        return [name for name, there in zip(names, found, strict=True) if there]


def _key(name: bytes) -> str | None:
    """The key that a name in the index is; None for what is not ours."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _cursor(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _after(cursor: str) -> bytes:
    return cursor.encode(errors="surrogateescape")
