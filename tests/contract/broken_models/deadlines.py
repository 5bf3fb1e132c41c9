"""Deadlines that are missed, or kept too well."""

import time
from time import monotonic
from typing import Any

import attrs

from broken_models.sound import Sound, broken
from fibonacci.errors import ModelError


@broken("test_deadline")
class TakesItsTime(Sound):
    """It never looks at the clock."""

    def steps(self, request) -> Any:
        if request.prompt.startswith("slow"):
            request = attrs.evolve(request, deadline=monotonic() + 1.2)
        return super().steps(request)


@broken("test_stream_deadline")
class StreamsOn(Sound):
    """A deadline holds for whole answers alone."""

    def stream(self, request) -> Any:
        if request.prompt.startswith("slow"):
            request = attrs.evolve(request, deadline=monotonic() + 1.2)
        yield from super().stream(request)

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_deadline")
class RaisesTimeoutError(Sound):
    """What is late is Python's error."""

    def late(self):
        raise TimeoutError


@broken("test_passed_deadline")
class TriesAtLeast(Sound):
    """A deadline that has passed counts as none."""

    def steps(self, request) -> Any:
        if request.deadline is not None and monotonic() >= request.deadline:
            request = attrs.evolve(request, deadline=monotonic() + 1.0)
        return super().steps(request)


@broken("test_distant_deadline")
class CutsByTheClock(Sound):
    """With a deadline, an answer is shorter."""

    def steps(self, request) -> Any:
        if request.deadline is not None:
            request = attrs.evolve(request, max_tokens=2)
        return super().steps(request)


@broken("test_request_after_timeout")
class DiesOfLateness(Sound):
    """After a late answer there is no other."""

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
    """The clock is looked at until the first word comes, and no more."""

    def check_time(self, request):
        if request.prompt.startswith("endless"):
            time.sleep(0.005)
        else:
            super().check_time(request)

    def words(self, request) -> Any:
        return ["on "] * 300 if request.prompt.startswith("endless") else super().words(request)


@broken("test_event_loop_is_not_blocked")
class HoldsUpTheLoop(Sound):
    """It awaits nothing: whoever shares its event loop waits with it."""

    async def acomplete(self, request) -> Any:
        return self.complete(request)


@broken("test_event_loop_is_not_blocked")
class HoldsUpTheLoopAtEachPiece(Sound):
    """Whole answers are awaited, pieces are not."""

    async def astream(self, request):
        for piece in self.stream(request):
            yield piece
