"""The store: what each of its operations sends to Redis, written once for sync and async code."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, AsyncStore, KeepTTL, Page, Space
from fibonacci_redis.commands import (
    CHUNK_SIZE,
    WriteChunk,
    expiry_options,
    pack_add_to_index,
    pack_extend_index,
    pack_replace,
    remove_request,
)
from fibonacci_redis.index import Index
from fibonacci_redis.layout import SpaceKeys, space_keys
from fibonacci_redis.protocol import GET_HEADER, Request, pack, pack_key, pack_set, transaction
from fibonacci_redis.scripts import COMPARE_AND_SET, CREATE, PERSIST
from fibonacci_redis.topology import Topology

MAX_REPLACE_SIZE: Final = 8 * 1024
"""Bytes of a value up to which a request usually arrives at the server in one piece."""

MAX_RECENTLY_WRITTEN: Final = 10_000
"""Records remembered as written, which therefore probably exist."""

MAX_SCRIPT_SIZE: Final = 8 * 1024
"""Bytes up to which a script compares: it blocks the server while it copies them, at 64 KB for
0.24 ms. Above, this client compares, under WATCH."""

UNWATCH: Final = pack((b"UNWATCH",))


class RedisStore(AsyncStore):
    """Records in Redis. Over blocking nodes its coroutines never suspend."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._execute = topology.execute
        self._index = Index(topology)
        self._recently_written: set[Address] = set()

    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        keys = space_keys(address.space)
        data = pack_key(GET_HEADER, keys.record_prefix + address.key.encode())
        record: bytes | None
        [record] = await self._execute(Request(keys.slot, data, 1, False), deadline)
        return record

    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        keys = space_keys(address.space)
        name = address.key.encode()
        key = keys.record_prefix + name
        # A record that exists is in the index: replacing it takes 15 % less than creating it.
        if address in self._recently_written and len(data) <= MAX_REPLACE_SIZE:
            commands = pack_replace(keys, key, data, ttl_ms)
            replies = await self._execute(Request(keys.slot, commands, 2, True), deadline)
            if replies[1] is not None:
                return
        record = pack_set(key, data, expiry_options(ttl_ms))
        request = transaction(keys.slot, *pack_add_to_index(keys, name, ttl_ms), record)
        await self._execute(request, deadline)
        self._remember_written(address)
        if ttl_ms is not None:
            await self._index.prune_sample(keys, 1, deadline)

    async def remove(self, address: Address, *, deadline: float) -> bool:
        keys = space_keys(address.space)
        request = remove_request(keys, [address.key.encode()])
        return bool((await self._execute(request, deadline))[-1][0])

    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        keys = space_keys(address.space)
        data = pack((b"PTTL", keys.record_prefix + address.key.encode()))
        [ttl_ms] = await self._execute(Request(keys.slot, data, 1, False), deadline)
        if ttl_ms == -2:
            return ABSENT
        return None if ttl_ms == -1 else max(1, ttl_ms)

    async def exists(self, address: Address, *, deadline: float) -> bool:
        keys = space_keys(address.space)
        data = pack((b"EXISTS", keys.record_prefix + address.key.encode()))
        return bool((await self._execute(Request(keys.slot, data, 1, False), deadline))[0])

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        keys = space_keys(address.space)
        key = keys.record_prefix + address.key.encode()
        if ttl_ms is not None:
            # With 1, PEXPIRE removes the record at once if the server's clock ticks meanwhile: it
            # treats an expiry that is now as past (expire.c, checkAlreadyExpired), SET does not.
            expire = pack((b"PEXPIRE", key, b"%d" % max(2, ttl_ms)))
            request = Request(keys.slot, pack_extend_index(keys, ttl_ms) + expire, 2, True)
            return bool((await self._execute(request, deadline))[1])
        script_keys = [key, keys.index]
        return bool(await PERSIST.call(self._execute, keys.slot, script_keys, deadline=deadline))

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
        if max(len(expected), len(data)) > MAX_SCRIPT_SIZE:
            return await self._compare_and_set_watched(address, expected, data, ttl_ms, deadline)
        keys = space_keys(address.space)
        key = keys.record_prefix + address.key.encode()
        script_keys = [key] if ttl_ms is KEEP_TTL else [key, keys.index]
        arguments = (expected, data, *expiry_options(ttl_ms))
        return bool(
            await COMPARE_AND_SET.call(
                self._execute, keys.slot, script_keys, *arguments, deadline=deadline
            )
        )

    async def _create(
        self, address: Address, data: bytes, ttl_ms: int | KeepTTL | None, deadline: float
    ) -> bool:
        keys = space_keys(address.space)
        name = address.key.encode()
        new_ttl_ms = None if ttl_ms is KEEP_TTL else ttl_ms
        key, options = keys.record_prefix + name, expiry_options(new_ttl_ms)
        if len(data) > MAX_SCRIPT_SIZE:
            # If the record exists, adding it to the index changes nothing.
            record = pack_set(key, data, (b"NX", *options))
            request = transaction(keys.slot, *pack_add_to_index(keys, name, new_ttl_ms), record)
            created = (await self._execute(request, deadline))[-1][-1] is not None
        else:
            script_keys, arguments = [key, keys.index], (data, name, *options)
            created = bool(
                await CREATE.call(
                    self._execute, keys.slot, script_keys, *arguments, deadline=deadline
                )
            )
        self._remember_written(address)
        if created and options:
            await self._index.prune_sample(keys, 1, deadline)
        return created

    async def _compare_and_set_watched(
        self,
        address: Address,
        expected: bytes,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        deadline: float,
    ) -> bool:
        keys = space_keys(address.space)
        key = keys.record_prefix + address.key.encode()
        session, execute = await self._topology.session(keys.slot, deadline)
        reusable = False
        try:
            watch = pack((b"WATCH", key)) + pack((b"GET", key))
            _, current = await execute(Request(keys.slot, watch, 2, False))
            if current == expected:
                record = pack_set(key, data, expiry_options(ttl_ms))
                index = () if ttl_ms is KEEP_TTL else (pack_extend_index(keys, ttl_ms),)
                replies = await execute(transaction(keys.slot, *index, record))
                done = replies[-1] is not None
            else:
                await execute(Request(keys.slot, UNWATCH, 1, False))
                done = False
            reusable = True
        finally:
            session.release(reusable=reusable)
        return done

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        records: list[bytes | None] = [None] * len(addresses)
        groups = list(_group_by_space(addresses))
        requests = []
        for keys, _, names in groups:
            command = (b"MGET", *keys.record_keys(names))
            requests.append(Request(keys.slot, pack(command), 1, False))
        results = await self._topology.execute_many(requests, deadline)
        for (_, positions, _), [values] in zip(groups, results, strict=True):
            for position, value in zip(positions, values, strict=True):
                records[position] = value
        return records

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        chunks: list[WriteChunk] = []
        last_chunks: dict[Space, WriteChunk] = {}
        for (space, key), data in items:
            chunk = last_chunks.get(space)
            if chunk is None or chunk.size > CHUNK_SIZE:
                chunk = last_chunks[space] = WriteChunk(space_keys(space), ttl_ms)
                chunks.append(chunk)
            chunk.add(key.encode(), data)
        await self._topology.execute_many([chunk.request() for chunk in chunks], deadline)
        if ttl_ms is not None:
            for chunk in chunks:
                await self._index.prune_sample(chunk.keys, chunk.count, deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        # A record whose address occurs twice is removed, and counted, once.
        requests = [remove_request(keys, names) for keys, _, names in _group_by_space(addresses)]
        results = await self._topology.execute_many(requests, deadline)
        return sum(replies[-1][0] for replies in results)

    async def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        return await self._index.scan(space, prefix, cursor, limit, deadline)

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        return await self._index.clear(space, cursor, deadline)

    async def close(self) -> None:
        self._topology.close()

    def _remember_written(self, address: Address) -> None:
        if len(self._recently_written) >= MAX_RECENTLY_WRITTEN:
            self._recently_written.clear()
        self._recently_written.add(address)


SpaceGroup = tuple[SpaceKeys, list[int], list[bytes]]
"""A space, its records' positions in the batch, and their names in the index."""


def _group_by_space(addresses: Iterable[Address]) -> Iterator[SpaceGroup]:
    spaces: dict[Space, tuple[list[int], list[bytes]]] = {}
    for position, (space, key) in enumerate(addresses):
        group = spaces.get(space)
        if group is None:
            group = spaces[space] = ([], [])
        group[0].append(position)
        group[1].append(key.encode())
    for space, (positions, names) in spaces.items():
        yield space_keys(space), positions, names
