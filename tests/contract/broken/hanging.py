"""Stores that hang: the watchdog ends the test."""

import asyncio
import socket
import threading
import time

from minimal import MinimalAsyncStore, MinimalStore

from broken.entry import broken

LIMIT = 0.5
"""Seconds beyond the timeout; a busy machine pauses a test for 0.3 s."""


@broken("test_none")
class WaitsForAReply(MinimalStore):
    """A read waits for a reply that never comes, without a timeout."""

    hang_slack = LIMIT

    def read(self, address, *, deadline):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return ours.recv(1)


@broken("test_concurrent_adds")
class DeadlocksTwoThreads(MinimalStore):
    """The one connection is not handed back if a second thread waits for it."""

    hang_slack = LIMIT
    connection = threading.Lock()

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        if not self.connection.acquire(blocking=False):
            threading.Event().wait()
        time.sleep(0.001)
        self.connection.release()
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_none")
class AwaitsForEver(MinimalAsyncStore):
    """A read awaits a reply that never comes."""

    hang_slack = LIMIT

    async def read(self, address, *, deadline):
        await asyncio.Event().wait()


@broken("test_none")
class BlocksTheLoopForEver(MinimalAsyncStore):
    """A read blocks the event loop until a reply comes, which never does."""

    hang_slack = LIMIT

    async def read(self, address, *, deadline):
        threading.Event().wait()
