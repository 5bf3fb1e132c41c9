"""Stores whose async side is broken."""

import asyncio

from minimal import MinimalAsyncStore

from broken.entry import broken
from fibonacci.plugin import ABSENT


@broken("test_successive_event_loops")
class OneLoopOnly(MinimalAsyncStore):
    """The store serves only the first event loop."""

    async def read(self, address, *, deadline):
        loop = asyncio.get_running_loop()
        if self.store.__dict__.setdefault("loop", loop) is not loop:
            raise RuntimeError("Event loop is closed")
        return await super().read(address, deadline=deadline)


@broken("test_interrupted_calls")
class LosesCancelled(MinimalAsyncStore):
    """A cancelled call leaves its result for the next one."""

    result = None

    async def read(self, address, *, deadline):
        if self.result:
            result, self.result = self.result, None
            return result
        self.result = self.store.read(address, deadline=deadline)
        await asyncio.sleep(0)
        result, self.result = self.result, None
        return result


@broken("test_closed_store")
class LeavesATask(MinimalAsyncStore):
    """Closing leaves the task that sends heartbeats."""

    task = None

    async def write(self, address, data, ttl_ms, *, deadline):
        self.task = self.task or asyncio.create_task(asyncio.sleep(3600))
        await super().write(address, data, ttl_ms, deadline=deadline)


@broken("test_concurrent_adds")
class AsyncNotAtomic(MinimalAsyncStore):
    """Compare-and-set yields to the loop between the comparison and the write."""

    async def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        found = self.store.read(address, deadline=deadline)
        if (ABSENT if found is None else found) != expected:
            return False
        await asyncio.sleep(0)
        found = self.store.read(address, deadline=deadline)
        expected = ABSENT if found is None else found
        return self.store.compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
