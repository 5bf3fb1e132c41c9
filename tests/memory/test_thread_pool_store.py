"""Async operations on a sync store, in worker threads."""

import asyncio
import threading
from time import monotonic
from typing import Any

import pytest

from fibonacci import BackendUnavailableError, MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address
from fibonacci.plugin._runtime import threads as workers


class BlockedStore(LocalStore):
    """A store whose writes wait for an event."""

    _in_process = False

    def __init__(self, *, retry_transient_errors: bool) -> None:
        super().__init__()
        self.retry_transient_errors = retry_transient_errors
        self.unblock = threading.Event()

    def write(self, address: Address, data: bytes, ttl_ms: int | None, **named: Any) -> None:
        self.unblock.wait(60)
        super().write(address, data, ttl_ms, **named)


@pytest.mark.parametrize("retry_transient_errors", [False, True])
def test_reads_do_not_wait_for_writes(retry_transient_errors):
    """Reads go on while any number of writes wait; a queued write ends at its deadline (C18)."""

    async def use(store):
        patient = Workflow("w", MemoryConfig(store, timeout=60)).memory
        hasty = Workflow("w", MemoryConfig(store, timeout=0.05)).memory
        writes = [asyncio.ensure_future(patient.aset(f"k{n}", n)) for n in range(200)]
        await asyncio.sleep(0)
        start = monotonic()
        assert await patient.aget("absent") is None
        if not retry_transient_errors:
            with pytest.raises(BackendUnavailableError, match="kept the store busy"):
                await asyncio.gather(*[hasty.aset("late", n) for n in range(20)])
        assert monotonic() < start + 30
        store.unblock.set()
        await asyncio.gather(*writes)
        assert await patient.aget("k199") == 199
        await asyncio.gather(*[patient.aset("k", n) for n in range(20)])

    asyncio.run(use(BlockedStore(retry_transient_errors=retry_transient_errors)))


def test_cancelled_calls_keep_their_permits():
    """Calls of cancelled tasks count towards the limit until their threads are done (C18)."""

    async def use(store):
        memory = Workflow("w", MemoryConfig(store, timeout=60)).memory
        writes = [asyncio.ensure_future(memory.aset("k", n)) for n in range(8)]
        await asyncio.sleep(0.05)
        for write in writes:
            write.cancel()
        await asyncio.wait(writes)
        waiting = asyncio.ensure_future(memory.aset("last", 1))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        store.unblock.set()
        await waiting
        assert await memory.aget("last") == 1

    asyncio.run(use(BlockedStore(retry_transient_errors=False)))


def test_error_if_no_thread_can_be_started(monkeypatch):
    """A call for which no thread can be started raises BackendUnavailableError (C17)."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = BlockedStore(retry_transient_errors=False)
    memory = Workflow("w", MemoryConfig(store, timeout=0.5)).memory
    monkeypatch.setattr(workers, "_workers", workers.Workers())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(BackendUnavailableError, match="starts no further thread"):
        asyncio.run(memory.aset("k", 1))
    monkeypatch.undo()
    store.unblock.set()
    assert memory.get("k") is None
