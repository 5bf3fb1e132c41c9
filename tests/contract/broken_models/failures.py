"""Failures that tell too little, or too much."""

import logging
from typing import Any

from broken_models.sound import KEY, Sound, broken
from fibonacci.errors import ModelError
from fibonacci.plugin import Completion


@broken("test_failure")
class RaisesItsDrivers(Sound):
    """A driver's exception comes through."""

    def check(self, request) -> Any:
        try:
            super().check(request)
        except ModelError as error:
            if "deadline" in str(error):
                raise
            raise ConnectionError("status 429") from None


@broken("test_failure")
class NothingPasses(Sound):
    """No failure may pass."""

    def check(self, request) -> Any:
        try:
            super().check(request)
        except ModelError as error:
            raise ModelError(str(error)) from None


@broken("test_stream_failure")
class EndsQuietly(Sound):
    """A stream that fails is a stream that ends."""

    def stream(self, request) -> Any:
        try:
            yield from super().stream(request)
        except ModelError:
            yield Completion(text="")

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_retry_after")
class TellsADate(Sound):
    """When to try again is a moment in the past, as a clock went wrong."""

    def check(self, request) -> Any:
        if request.prompt.startswith("busy"):
            raise ModelError("busy", retryable=True, retry_after=-3.0)
        super().check(request)


@broken("test_errors_quote_no_secret")
class QuotesThePrompt(Sound):
    """The error says what was asked."""

    def check(self, request) -> Any:
        if request.prompt.startswith("busy"):
            raise ModelError(f"busy, and so did not answer {request.prompt!r}", retryable=True)
        super().check(request)


@broken("test_errors_quote_no_secret")
class QuotesTheKey(Sound):
    """What stands behind the error has the key in it."""

    def check(self, request) -> Any:
        if request.prompt.startswith("wrong"):
            try:
                raise PermissionError({"authorization": f"Bearer {KEY}"})
            except PermissionError:
                raise ModelError("the model refuses this key")  # noqa: B904
        super().check(request)


@broken("test_repr")
class ShowsItsKey(Sound):
    """Its repr is that of a dataclass."""

    def __repr__(self):
        return f"ShowsItsKey(key={KEY!r})"


@broken("test_request_after_failure")
class StaysDown(Sound):
    """After a failure there is no answer."""

    down = False

    def check(self, request) -> Any:
        if self.down and not request.prompt.startswith(("busy", "wrong")):
            raise ModelError("down")
        try:
            super().check(request)
        except ModelError:
            self.down = True
            raise


@broken("test_logs_quote_no_secret")
class LogsRequests(Sound):
    """At the level DEBUG, each request is in the log."""

    def check(self, request) -> Any:
        logging.getLogger(__name__).debug("asked: %s", {"prompt": request.prompt})
        super().check(request)


@broken("test_logs_quote_no_secret")
class LogsHeaders(Sound):
    """At the level DEBUG, the headers of a refused request are in the log."""

    def check(self, request) -> Any:
        if request.prompt.startswith("wrong"):
            logging.getLogger(__name__).debug("headers: %s", {"x-api-key": KEY})
        super().check(request)
