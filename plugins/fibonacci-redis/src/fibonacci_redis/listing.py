"""Listing and clearing a space: by its index, in pages.

A server that is short of memory may have removed an index, and somebody may have deleted one. Then
records are found by looking through all keys.
"""

import re
from heapq import nsmallest
from math import inf
from time import monotonic
from typing import Final

from fibonacci.plugin import Page, Space
from fibonacci_redis.keyspace import ASK_KEYSPACE, KEPT_FOR, UNTOLD, Keyspace, read_keyspace
from fibonacci_redis.layout import Place, named, place
from fibonacci_redis.requests import removal
from fibonacci_redis.routes import Routes
from fibonacci_redis.swap import Swap
from fibonacci_redis.wire import Request, pack

CHUNK: Final = 1000
"""Records cleared, or keys looked at, in one step: about a millisecond of the server's time."""

LISTED: Final = "l"
LOOKED: Final = "k"
"""How a cursor begins: by where names come from, the index or all keys."""

_SPECIAL: Final = re.compile(rb"[][*?^\\-]")
"""What means more than itself in a pattern of SCAN."""


class Listing(Swap):
    """Many records of one space."""

    def __init__(self, routes: Routes) -> None:
        super().__init__(routes)
        self._told: dict[str, tuple[float, Keyspace]] = {}
        """What each server said of its keys, and when."""

    async def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        where, after = place(space), _after(cursor)
        bounds = where, prefix.encode(), after, limit, deadline
        keyspace = await self._keyspace(where, deadline, kept_for=KEPT_FOR)
        looks = not keyspace.keeps_all or (cursor or "").startswith(LOOKED)
        names, more = await (self._unlisted_page if looks else self._page)(*bounds)
        if not names and not looks and keyspace.is_small:
            looks = True
            names, more = await self._unlisted_page(*bounds)
        live = names if looks else await self._live(where, names, deadline)
        keys = [key for key in map(_key, live) if key is not None]
        return Page(keys, _cursor(names[-1], LOOKED if looks else LISTED) if more else None)

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        where = place(space)
        names, more = await self._page(where, b"", _after(cursor), CHUNK, deadline)
        if not more and await self._may_miss(where, names, cursor, deadline):
            names = sorted({*names, *await self._look_through(where, b"", deadline)})
        # Nothing is removed before all is read: a fault in between would not be about all.
        steps = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
        if steps:
            await self._routes.ask_all([removal(where, step) for step in steps], deadline)
        return _cursor(names[-1], LISTED) if more else None

    async def _may_miss(
        self, where: Place, names: list[bytes], cursor: str | None, deadline: float
    ) -> bool:
        """Say whether there may be records that the index, read to its end, does not list."""
        keyspace = await self._keyspace(where, deadline)
        is_listed = bool(names) or cursor is not None
        return not keyspace.keeps_all or keyspace.is_small or not is_listed

    async def _keyspace(self, where: Place, deadline: float, kept_for: float = 0.0) -> Keyspace:
        """What the server of a space says of its keys, now or up to so many seconds ago."""
        node, now = await self._routes.node(where.slot, deadline), monotonic()
        server = str(node.endpoint)
        told_at, keyspace = self._told.get(server, (-inf, UNTOLD))
        if now - told_at > kept_for:
            [reply] = await self._routes.exchange(node, ASK_KEYSPACE, deadline)
            keyspace = read_keyspace(reply, node.endpoint)
            self._told[server] = now, keyspace
        return keyspace

    async def _unlisted_page(
        self, where: Place, prefix: bytes, after: bytes | None, limit: int, deadline: float
    ) -> tuple[list[bytes], bool]:
        """The next names of those that there are, and whether there are more."""
        found = await self._look_through(where, prefix, deadline)
        names = nsmallest(limit + 1, (name for name in found if after is None or name > after))
        return names[:limit], len(names) > limit

    async def _look_through(self, where: Place, prefix: bytes, deadline: float) -> set[bytes]:
        """The names of a space's records, among all keys of the server.

        On one connection: another server's SCAN would not go on where this one's ended.
        """
        session, asked = await self._routes.session(where.slot, deadline)
        head, cursor, clean = len(where.head), b"0", False
        found: set[bytes] = set()
        try:
            while not clean:
                (cursor, keys), _ = await asked(_look(where, prefix, cursor))
                found.update(key[head:] for key in keys)
                clean = cursor == b"0"
        finally:
            session.end(clean=clean)
        return found

    async def _page(
        self, where: Place, prefix: bytes, after: bytes | None, limit: int, deadline: float
    ) -> tuple[list[bytes], bool]:
        """The index's next names, dead ones among them, and whether there are more."""
        start = b"[" + prefix if after is None else b"(" + after
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


def _look(where: Place, prefix: bytes, cursor: bytes) -> Request:
    """What looks at the next keys.

    SCAN names no key, so any node of a cluster answers it. One that has the slot no more, or has
    given a part of it away, refuses what comes behind: one key of the two is there at most.
    """
    pattern = _SPECIAL.sub(rb"\\\g<0>", where.head + prefix) + b"*"
    scan = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % CHUNK, b"TYPE", b"string")
    guard = (b"EXISTS", where.index, where.head)
    return Request(where.slot, pack(scan) + pack(guard), 2, False)


def _key(name: bytes) -> str | None:
    """The key that a name in the index is; None for what is not ours."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _cursor(name: bytes, found: str) -> str:
    """Where to go on: behind the name, and in which of the two ways."""
    return found + name.decode(errors="surrogateescape")


def _after(cursor: str | None) -> bytes | None:
    return None if cursor is None else cursor[1:].encode(errors="surrogateescape")
