"""Completions that are invalid, or differ between sync, async and streams."""

from typing import Any

import attrs

from broken_models.sound import Plain, Sound, broken
from fibonacci.plugin import Completion, TextDelta, Usage


@broken("test_completion")
class ReturnsText(Plain):
    """``complete`` returns text instead of a Completion."""

    def complete(self, request) -> Any:
        return super().complete(request).text


@broken("test_completion")
class MakesUpReasons(Sound):
    """The stop reason is the service's own word."""

    def whole(self, request, text, count, reason) -> Any:
        return super().whole(request, text, count, "end_turn")


@broken("test_stream_items")
class NoWhole(Sound):
    """A stream ends without a Completion."""

    def stream(self, request) -> Any:
        yield from (piece for piece in super().stream(request) if isinstance(piece, TextDelta))

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_stream_items")
class WholeTwice(Sound):
    """A stream ends with two Completions."""

    def steps(self, request) -> Any:
        for step in super().steps(request):
            yield step
            if isinstance(step, Completion):
                yield step


@broken("test_stream_items")
class DropsBlanks(Sound):
    """The deltas of a stream are stripped."""

    def steps(self, request) -> Any:
        for step in super().steps(request):
            yield TextDelta(step.text.strip()) if isinstance(step, TextDelta) else step


@broken("test_stream_equals_completion")
class StripsTheCompletion(Sound):
    """``complete`` strips its text, and a stream does not."""

    def complete(self, request) -> Any:
        completion = super().complete(request)
        return attrs.evolve(completion, text=completion.text.rstrip(" .\n"))

    async def acomplete(self, request) -> Any:
        completion = await super().acomplete(request)
        return attrs.evolve(completion, text=completion.text.rstrip(" .\n"))


@broken("test_sync_equals_async")
class ForgetsTheReason(Sound):
    """An async completion has no stop reason."""

    async def acomplete(self, request) -> Any:
        return attrs.evolve(await super().acomplete(request), stop_reason=None)


@broken("test_requests_are_independent")
class GoesOn(Sound):
    """The last prompt is part of the next request."""

    before = ""

    def words(self, request) -> Any:
        if not request.prompt.startswith("Name"):
            return super().words(attrs.evolve(request, prompt=self.before + request.prompt))
        self.before = request.prompt
        return super().words(request)


@broken("test_usage")
class CountsBackwards(Sound):
    """Unknown token counts are -1."""

    def whole(self, request, text, count, reason) -> Any:
        return Completion(
            text=text, usage=Usage(input_tokens=-1, output_tokens=-1), stop_reason=reason
        )
