"""Streams and calls that do not release what they hold."""

import asyncio
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

import attrs

from broken_models.sound import Sound, broken
from fibonacci.plugin import Completion, TextDelta


@broken("test_stream_closed_early")
class KeepsSlots(Sound):
    """Only a stream that was read to its end releases its slot."""

    def stream(self, request) -> Any:
        self.take()
        for step in self.steps(request):
            if not isinstance(step, float):
                yield step
        self.slots.release()


@broken("test_stream_closed_early")
class KeepsAsyncSlots(Sound):
    """Only an async stream that was read to its end releases its slot."""

    async def astream(self, request):
        self.take()
        for step in self.steps(request):
            await asyncio.sleep(0)
            if not isinstance(step, float):
                yield step
        self.slots.release()


@broken("test_stream_closed_unused")
class AcquiresTooEarly(Sound):
    """A stream acquires its slot on creation, and releases it only once it was started."""

    def stream(self, request) -> Any:
        self.take()

        def pieces():
            try:
                yield from (one for one in self.steps(request) if not isinstance(one, float))
            finally:
                self.slots.release()

        return pieces()


@broken("test_exception_thrown_into_stream")
class SwallowsAnything(Sound):
    """An exception within a stream ends it silently."""

    def stream(self, request) -> Any:
        with suppress(BaseException):
            yield from super().stream(request)


@broken("test_paused_stream")
class OneAtATime(Sound):
    """A paused stream blocks the model."""

    def __init__(self):
        self.slots = threading.BoundedSemaphore(1)

    def check_time(self, request):
        if request.deadline is not None and monotonic() >= request.deadline - 1.9:
            self.late()

    def slot(self, request) -> Any:
        return super().slot(attrs.evolve(request, deadline=monotonic() + 0.05))


@broken("test_interleaved_streams")
class OneBuffer(Sound):
    """All streams collect their text in one buffer."""

    said = ""

    def steps(self, request) -> Any:
        self.said = ""
        for step in super().steps(request):
            if isinstance(step, TextDelta):
                self.said += step.text
            yield (attrs.evolve(step, text=self.said) if isinstance(step, Completion) else step)


@broken("test_cancelled_call")
class HoldsOn(Sound):
    """A cancelled call does not release its slot."""

    async def acomplete(self, request) -> Any:
        self.take()
        whole = None
        for step in self.steps(request):
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                whole = step
        self.slots.release()
        return whole
