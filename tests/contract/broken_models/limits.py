"""Limits that are not kept."""

from typing import Any

import attrs

from broken_models.sound import Sound, broken
from fibonacci.plugin import TextDelta


@broken("test_supported_options")
class AcceptsAList(Sound):
    """The fields have names of the service's own."""

    supported_options = frozenset({"temperature", "stop", "top_p"})


@broken("test_stop")
class IgnoresStop(Sound):
    """It says that it heeds stop, and does not."""

    def stopped(self, text, stops) -> Any:
        return None


@broken("test_stop")
class KeepsTheStop(Sound):
    """The text of stop is part of the answer."""

    def stopped(self, text, stops) -> Any:
        ends = [place + len(one) for one in stops if (place := text.find(one)) >= 0]
        return min(ends, default=None)


@broken("test_stop")
class OnlyTheFirst(Sound):
    """Of several texts of stop, only the first is heeded."""

    def stopped(self, text, stops) -> Any:
        return super().stopped(text, stops[:1])


@broken("test_stop_in_stream")
class StreamsPastTheStop(Sound):
    """A stream says the text of stop, and then ends as if it had not."""

    def stream(self, request) -> Any:
        plain = attrs.evolve(request, stop=())
        yield from (one for one in super().stream(plain) if isinstance(one, TextDelta))
        yield self.complete(request)

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_max_tokens")
class SaysItAll(Sound):
    """It says all that it has to say, however many tokens it may."""

    def steps(self, request) -> Any:
        return super().steps(attrs.evolve(request, max_tokens=10**6))


@broken("test_max_tokens")
class CutsSilently(Sound):
    """An answer that was cut ends as if by itself."""

    def whole(self, request, text, count, reason) -> Any:
        return super().whole(request, text, count, "end" if reason == "max_tokens" else reason)


@broken("test_temperature")
class OnlyWarm(Sound):
    """A temperature of 0 is divided by."""

    def steps(self, request) -> Any:
        if request.temperature is not None:
            assert 1 / request.temperature
        return super().steps(request)


@broken("test_json")
class NeedsASchema(Sound):
    """JSON without a schema breaks it."""

    def steps(self, request) -> Any:
        if request.output_format == "json":
            assert request.output_schema["type"] == "object"
        return super().steps(request)


@broken("test_request_is_not_changed")
class ClosesSchemas(Sound):
    """It closes the schema, which is the caller's."""

    def steps(self, request) -> Any:
        if request.output_schema is not None:
            request.output_schema["additionalProperties"] = False
        return super().steps(request)
