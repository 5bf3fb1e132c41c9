"""Models that miss a deadline, are shortened by one, or block the event loop."""

import time
from time import monotonic
from typing import Any

import attrs

from broken_models.sound import Sound, broken
from fibonacci.errors import ModelError


@broken("test_deadline")
class TakesItsTime(Sound):
    """The deadline is ignored."""

    def steps(self, request) -> Any:
        if request.prompt.startswith("slow"):
            request = attrs.evolve(request, deadline=monotonic() + 1.2)
        return super().steps(request)


@broken("test_stream_deadline")
class StreamsOn(Sound):
    """The deadline is ignored in streams."""

    def stream(self, request) -> Any:
        if request.prompt.startswith("slow"):
            request = attrs.evolve(request, deadline=monotonic() + 1.2)
        yield from super().stream(request)

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_deadline")
class RaisesTimeoutError(Sound):
    """A late completion raises Python's TimeoutError."""

    def late(self):
        raise TimeoutError


@broken("test_passed_deadline")
class TriesAtLeast(Sound):
    """A deadline that has passed is ignored."""

    def steps(self, request) -> Any:
        if request.deadline is not None and monotonic() >= request.deadline:
            request = attrs.evolve(request, deadline=monotonic() + 1.0)
        return super().steps(request)


@broken("test_distant_deadline")
class CutsByTheClock(Sound):
    """With a deadline, the text is shorter."""

    def steps(self, request) -> Any:
        if request.deadline is not None:
            request = attrs.evolve(request, max_tokens=2)
        return super().steps(request)


@broken("test_request_after_timeout")
class DiesOfLateness(Sound):
    """After a timeout no request succeeds."""

    dead = False

    def late(self):
        self.dead = True
        super().late()

    def check(self, request) -> Any:
        if self.dead and not request.prompt.startswith("slow"):
            raise ModelError("there is no connection")
        super().check(request)


@broken("test_stream_deadline")
class LooksOnce(Sound):
    """The deadline is checked only until the first word."""

    def check_time(self, request):
        if request.prompt.startswith("endless"):
            time.sleep(0.005)
        else:
            super().check_time(request)

    def words(self, request) -> Any:
        return ["on "] * 300 if request.prompt.startswith("endless") else super().words(request)


@broken("test_event_loop_is_not_blocked")
class HoldsUpTheLoop(Sound):
    """The event loop is blocked during a completion."""

    async def acomplete(self, request) -> Any:
        return self.complete(request)


@broken("test_event_loop_is_not_blocked")
class HoldsUpTheLoopAtEachPiece(Sound):
    """The event loop is blocked during each delta of a stream."""

    async def astream(self, request):
        for piece in self.stream(request):
            yield piece
