"""State that threads, event loops and processes share wrongly."""

import asyncio
import os
import time
from concurrent.futures import Future
from typing import Any

from broken_models.sound import Sound, broken
from fibonacci.errors import ModelError


@broken("test_concurrent_requests")
class OnePrompt(Sound):
    """All threads share one prompt."""

    def complete(self, request) -> Any:
        self.request = request
        time.sleep(0.005)
        return super().complete(self.request)


@broken("test_concurrent_streams")
class OnePromptForStreams(Sound):
    """All streams share one prompt."""

    async def astream(self, request):
        self.request = request
        await asyncio.sleep(0.005)
        async for piece in super().astream(self.request):
            yield piece


@broken("test_successive_event_loops")
class OneLoop(Sound):
    """The model belongs to the first event loop that uses it."""

    loop = None

    async def acomplete(self, request) -> Any:
        self.loop = self.loop or asyncio.get_running_loop()
        await asyncio.wrap_future(self._now(), loop=self.loop)
        return await super().acomplete(request)

    def _now(self):
        now = Future()
        now.set_result(None)
        return now


@broken("test_threads_with_event_loops")
class OneLoopAtATime(Sound):
    """Two concurrent event loops fail."""

    loops = ()

    async def acomplete(self, request) -> Any:
        loop = asyncio.get_running_loop()
        if any(other is not loop and other.is_running() for other in self.loops):
            raise RuntimeError("attached to a different loop")
        self.loops = (*self.loops, loop)
        await asyncio.sleep(0.01)
        return await super().acomplete(request)


@broken("test_child_and_parent")
class BornHere(Sound):
    """Only the process that created the model can use it."""

    def __init__(self):
        super().__init__()
        self.pid = os.getpid()

    def check(self, request) -> Any:
        if os.getpid() != self.pid:
            raise ModelError("the connection is another process's")
        super().check(request)


@broken("test_fork_during_stream")
class SharesItsConnection(Sound):
    """Parent and child share one connection."""

    connection = None

    def words(self, request) -> Any:
        words = super().words(request)
        if len(words) > 100:
            return words
        self.connection = self.connection or os.pipe()
        reading, writing = self.connection
        for word in words:
            os.write(writing, word.encode().ljust(20))
        return Received(reading, len(words))


class Received:
    """Words that are received on iteration."""

    def __init__(self, reading, count):
        self.reading, self.count = reading, count

    def __len__(self):
        return self.count

    def __iter__(self):
        for _ in range(self.count):
            yield os.read(self.reading, 20).decode().rstrip() + " "
