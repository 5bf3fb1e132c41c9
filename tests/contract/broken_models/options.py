"""Options that are ignored, that fail, or that are changed."""

from typing import Any

import attrs

from broken_models.sound import Sound, broken
from fibonacci.plugin import TextDelta


@broken("test_supported_options")
class AcceptsAList(Sound):
    """The parameters have the service's names."""

    supported_options = frozenset({"temperature", "stop", "messages", "top_p"})


@broken("test_stop")
class IgnoresStop(Sound):
    """``stop`` is a supported option, and ignored."""

    def stopped(self, text, stops) -> Any:
        return None


@broken("test_stop")
class KeepsTheStop(Sound):
    """The stop text is part of the completion."""

    def stopped(self, text, stops) -> Any:
        ends = [place + len(one) for one in stops if (place := text.find(one)) >= 0]
        return min(ends, default=None)


@broken("test_stop")
class OnlyTheFirst(Sound):
    """Only the first stop text is used."""

    def stopped(self, text, stops) -> Any:
        return super().stopped(text, stops[:1])


@broken("test_stop_in_stream")
class StreamsPastTheStop(Sound):
    """A stream yields the stop text, and then ends as if it had not."""

    def stream(self, request) -> Any:
        plain = attrs.evolve(request, stop=())
        yield from (one for one in super().stream(plain) if isinstance(one, TextDelta))
        yield self.complete(request)

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_max_tokens")
class SaysItAll(Sound):
    """The token limit is ignored."""

    def steps(self, request) -> Any:
        return super().steps(attrs.evolve(request, max_tokens=10**6))


@broken("test_max_tokens")
class CutsSilently(Sound):
    """A completion that was cut has the stop reason of a whole one."""

    def whole(self, request, text, count, reason) -> Any:
        return super().whole(request, text, count, "end" if reason == "max_tokens" else reason)


@broken("test_temperature")
class OnlyWarm(Sound):
    """A temperature of 0 is a divisor."""

    def steps(self, request) -> Any:
        if request.temperature is not None:
            assert 1 / request.temperature
        return super().steps(request)


@broken("test_json")
class NeedsASchema(Sound):
    """JSON without a schema raises."""

    def steps(self, request) -> Any:
        if request.output_format == "json":
            assert request.output_schema["type"] == "object"
        return super().steps(request)


@broken("test_request_is_not_changed")
class ClosesSchemas(Sound):
    """The caller's schema is changed."""

    def steps(self, request) -> Any:
        if request.output_schema is not None:
            request.output_schema["additionalProperties"] = False
        return super().steps(request)
