"""The index of a space: a sorted set of its records' names, by which they are listed and cleared.

A server that is short of memory may have evicted an index
(https://redis.io/docs/latest/develop/reference/eviction/), and somebody may have deleted one. Then
records are found by a SCAN of all keys.
"""

import logging
import re
from contextlib import suppress
from heapq import nsmallest
from math import inf
from random import Random
from time import monotonic
from typing import Any, Final

import attrs

from fibonacci.errors import StorageError
from fibonacci.plugin import Page, Space
from fibonacci_redis.commands import remove_request
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.layout import SpaceKeys, space_keys
from fibonacci_redis.protocol import Request, pack
from fibonacci_redis.scripts import PRUNE
from fibonacci_redis.topology import Topology

STEP_COUNT: Final = 1000
"""Records cleared, or keys scanned, in one step: about a millisecond of the server's time."""

PRUNE_COUNT: Final = 100
"""Index entries checked in one atomic step."""

PRUNE_INTERVAL: Final = 32
"""One of so many writes of expiring records looks for stale entries in the index …"""

PRUNE_SAMPLE: Final = 64
"""… among so many random ones: so at most about half of an index is stale for long."""

FROM_INDEX: Final = "l"
FROM_KEYS: Final = "k"
"""How a cursor starts: where names come from, the index or a scan of all keys."""

KEYSPACE_INFO: Final = Request(
    0, pack((b"INFO", b"memory", b"stats", b"keyspace")), 1, writes=False
)

KEYSPACE_TTL: Final = 1.0
"""Seconds for which a listing uses what a server reported before."""

MAX_SMALL_KEYSPACE: Final = 10_000
"""Keys that are scanned in a few milliseconds."""

_random: Final = Random()  # noqa: S311 - no secret
"""Not the functions of `random`: they would disturb a sequence that the application has seeded."""

_PATTERN_CHARACTERS: Final = re.compile(rb"[][*?^\\-]")
"""Characters with a meaning in a pattern of SCAN."""

_log: Final = logging.getLogger("fibonacci.redis")
_warned_servers: Final[set[str]] = set()


@attrs.frozen
class Keyspace:
    """What a server reports about its keys."""

    keeps_all: bool
    """Whether it has evicted nothing since it started."""
    is_small: bool


UNKNOWN_KEYSPACE: Final = Keyspace(keeps_all=False, is_small=False)
"""Of a server that does not report it."""


def parse_keyspace(reply: Any, endpoint: Endpoint) -> Keyspace:
    """Parse a reply to INFO; an error reply says nothing. Warns of eviction, once per server."""
    if type(reply) is not bytes:
        return UNKNOWN_KEYSPACE
    lines = [line.partition(":") for line in reply.decode(errors="replace").splitlines()]
    fields = {name: value for name, _, value in lines}
    policy, is_bounded = fields.get("maxmemory_policy", ""), fields.get("maxmemory") != "0"
    if policy.startswith("allkeys-") and is_bounded:
        _warn_of_eviction(str(endpoint), policy)
    databases = [value for name, value in fields.items() if name.startswith("db")]
    return Keyspace(
        keeps_all=fields.get("evicted_keys") == "0",
        is_small=sum(map(_parse_key_count, databases)) <= MAX_SMALL_KEYSPACE,
    )


def _parse_key_count(database: str) -> int:
    """Return the number of keys in a database from its line: ``keys=3,expires=1``."""
    number = database.partition("keys=")[2].partition(",")[0]
    return int(number) if number.isdigit() else MAX_SMALL_KEYSPACE + 1


def _warn_of_eviction(server: str, policy: str) -> None:
    if server not in _warned_servers:
        _warned_servers.add(server)
        _log.warning(
            "%s evicts records when its memory is full (maxmemory-policy %s), new ones as well as "
            "old ones: set maxmemory-policy to noeviction if none may be lost",
            server,
            policy,
        )


class Index:
    """The indexes of all spaces: lists and clears them, and removes their stale entries."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._execute = topology.execute
        self._keyspaces: dict[str, tuple[float, Keyspace]] = {}
        """What each server reported, and when."""

    async def scan(
        self, space: Space, prefix: str, cursor: str | None, limit: int, deadline: float
    ) -> Page:
        """Return the next keys of a space, in order."""
        keys, after = space_keys(space), _parse_cursor(cursor)
        bounds = keys, prefix.encode(), after, limit, deadline
        keyspace = await self._keyspace(keys, deadline, max_age=KEYSPACE_TTL)
        scans_keys = not keyspace.keeps_all or (cursor or "").startswith(FROM_KEYS)
        names, has_more = await (self._page_of_keys if scans_keys else self._page)(*bounds)
        if not names and not scans_keys and keyspace.is_small:
            scans_keys = True
            names, has_more = await self._page_of_keys(*bounds)
        existing = names if scans_keys else await self._existing(keys, names, deadline)
        decoded = [key for key in map(_decode, existing) if key is not None]
        source = FROM_KEYS if scans_keys else FROM_INDEX
        return Page(decoded, _format_cursor(names[-1], source) if has_more else None)

    async def clear(self, space: Space, cursor: str | None, deadline: float) -> str | None:
        """Remove the next records of a space, and return the cursor of the following ones."""
        keys = space_keys(space)
        names, has_more = await self._page(keys, b"", _parse_cursor(cursor), STEP_COUNT, deadline)
        if not has_more and await self._may_be_incomplete(keys, names, cursor, deadline):
            names = sorted({*names, *await self._scan_keys(keys, b"", deadline)})
        # Nothing is removed before everything is read: an error then means that nothing changed.
        steps = [names[start : start + STEP_COUNT] for start in range(0, len(names), STEP_COUNT)]
        if steps:
            await self._topology.execute_many(
                [remove_request(keys, step) for step in steps], deadline
            )
        return _format_cursor(names[-1], FROM_INDEX) if has_more else None

    async def prune(self, keys: SpaceKeys, names: list[bytes], deadline: float) -> None:
        """Remove those entries from the index that have no record, in bounded atomic steps."""
        for start in range(0, len(names), PRUNE_COUNT):
            step = names[start : start + PRUNE_COUNT]
            script_keys = [keys.index, *keys.record_keys(step)]
            await PRUNE.call(self._execute, keys.slot, script_keys, *step, deadline=deadline)

    async def prune_sample(self, keys: SpaceKeys, written: int, deadline: float) -> None:
        """Now and then, prune a random sample: expired records may never be listed."""
        if _random.random() * PRUNE_INTERVAL >= written:
            return
        count = max(PRUNE_SAMPLE, 2 * written)
        sample = Request(keys.slot, pack((b"ZRANDMEMBER", keys.index, b"%d" % count)), 1, False)
        with suppress(StorageError):  # the caller's write is done
            [names] = await self._execute(sample, deadline)
            await self.prune(keys, names, deadline)

    async def _may_be_incomplete(
        self, keys: SpaceKeys, names: list[bytes], cursor: str | None, deadline: float
    ) -> bool:
        """Return whether records may exist that the index, read to its end, does not list."""
        keyspace = await self._keyspace(keys, deadline)
        has_index = bool(names) or cursor is not None
        return not keyspace.keeps_all or keyspace.is_small or not has_index

    async def _keyspace(self, keys: SpaceKeys, deadline: float, max_age: float = 0.0) -> Keyspace:
        """Return what the server of a space reports, now or up to ``max_age`` seconds ago."""
        node, now = await self._topology.node(keys.slot, deadline), monotonic()
        server = str(node.endpoint)
        reported_at, keyspace = self._keyspaces.get(server, (-inf, UNKNOWN_KEYSPACE))
        if now - reported_at > max_age:
            [reply] = await self._topology.execute_on(node, KEYSPACE_INFO, deadline)
            keyspace = parse_keyspace(reply, node.endpoint)
            self._keyspaces[server] = now, keyspace
        return keyspace

    async def _page_of_keys(
        self, keys: SpaceKeys, prefix: bytes, after: bytes | None, limit: int, deadline: float
    ) -> tuple[list[bytes], bool]:
        """Return the next names among all keys, and whether there are more."""
        found = await self._scan_keys(keys, prefix, deadline)
        names = nsmallest(limit + 1, (name for name in found if after is None or name > after))
        return names[:limit], len(names) > limit

    async def _scan_keys(self, keys: SpaceKeys, prefix: bytes, deadline: float) -> set[bytes]:
        """Return the names of a space's records, found among all keys of the server.

        On one connection: another server could not continue the cursor of this one's SCAN.
        """
        _log.debug("scanning all keys for the records of a space: its index may be incomplete")
        session, execute = await self._topology.session(keys.slot, deadline)
        prefix_size, cursor, done = len(keys.record_prefix), b"0", False
        names: set[bytes] = set()
        try:
            while not done:
                (cursor, found), _ = await execute(_scan_request(keys, prefix, cursor))
                names.update(key[prefix_size:] for key in found)
                done = cursor == b"0"
        finally:
            session.release(reusable=done)
        return names

    async def _page(
        self, keys: SpaceKeys, prefix: bytes, after: bytes | None, limit: int, deadline: float
    ) -> tuple[list[bytes], bool]:
        """Return the index's next names, stale ones included, and whether there are more."""
        start = b"[" + prefix if after is None else b"(" + after
        end = b"(" + prefix + b"\xff" if prefix else b"+"  # UTF-8 never contains the byte FF
        bounds = (b"BYLEX", b"LIMIT", b"0", b"%d" % (limit + 1))
        command = (b"ZRANGE", keys.index, start, end, *bounds)
        [names] = await self._execute(Request(keys.slot, pack(command), 1, False), deadline)
        return names[:limit], len(names) > limit

    async def _existing(self, keys: SpaceKeys, names: list[bytes], deadline: float) -> list[bytes]:
        """Return those names that have a record, and remove the others from the index."""
        if not names:
            return names
        record_keys = keys.record_keys(names)
        count = Request(keys.slot, pack((b"EXISTS", *record_keys)), 1, False)
        if (await self._execute(count, deadline))[0] == len(names):
            return names
        commands = b"".join(pack((b"EXISTS", key)) for key in record_keys)
        request = Request(keys.slot, commands, len(record_keys), False)
        replies = await self._execute(request, deadline)
        stale = [name for name, exists in zip(names, replies, strict=True) if not exists]
        await self.prune(keys, stale, deadline)
        return [name for name, exists in zip(names, replies, strict=True) if exists]


def _scan_request(keys: SpaceKeys, prefix: bytes, cursor: bytes) -> Request:
    """Return the next step of a SCAN for a space's records.

    SCAN names no key, so any node of a cluster executes it. A node that no longer has the slot, or
    is migrating it, refuses the EXISTS that follows: at most one of its two keys exists.
    """
    pattern = _PATTERN_CHARACTERS.sub(rb"\\\g<0>", keys.record_prefix + prefix) + b"*"
    scan = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % STEP_COUNT, b"TYPE", b"string")
    guard = (b"EXISTS", keys.index, keys.record_prefix)
    return Request(keys.slot, pack(scan) + pack(guard), 2, False)


def _decode(name: bytes) -> str | None:
    """Return the key of a name in the index; None if the name is not UTF-8, so not a key."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _format_cursor(name: bytes, source: str) -> str:
    """Return the cursor that continues after the name, in the same source."""
    return source + name.decode(errors="surrogateescape")


def _parse_cursor(cursor: str | None) -> bytes | None:
    return None if cursor is None else cursor[1:].encode(errors="surrogateescape")
