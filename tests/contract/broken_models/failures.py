"""Errors that say too little, or too much."""

import logging
from typing import Any

from broken_models.sound import KEY, Sound, broken
from fibonacci.errors import ModelError
from fibonacci.plugin import Completion


@broken("test_failure")
class RaisesItsDrivers(Sound):
    """A driver's exception is raised."""

    def check(self, request) -> Any:
        try:
            super().check(request)
        except ModelError as error:
            if "deadline" in str(error):
                raise
            raise ConnectionError("status 429") from None


@broken("test_failure")
class NothingPasses(Sound):
    """No error is transient."""

    def check(self, request) -> Any:
        try:
            super().check(request)
        except ModelError as error:
            raise ModelError(str(error)) from None


@broken("test_stream_failure")
class EndsQuietly(Sound):
    """A stream that fails ends as if it were complete."""

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
    """The time to wait before a retry is negative, as a clock went wrong."""

    def check(self, request) -> Any:
        if request.prompt.startswith("busy"):
            raise ModelError("busy", retryable=True, retry_after=-3.0)
        super().check(request)


@broken("test_errors_quote_no_secret")
class QuotesThePrompt(Sound):
    """The error quotes the prompt."""

    def check(self, request) -> Any:
        if request.prompt.startswith("busy"):
            raise ModelError(f"busy, and so did not answer {request.prompt!r}", retryable=True)
        super().check(request)


@broken("test_errors_quote_no_secret")
class QuotesTheKey(Sound):
    """The cause of the error contains the key."""

    def check(self, request) -> Any:
        if request.prompt.startswith("wrong"):
            try:
                raise PermissionError({"authorization": f"Bearer {KEY}"})
            except PermissionError:
                raise ModelError("the model refuses this key")  # noqa: B904
        super().check(request)


@broken("test_errors_quote_no_secret")
class KeepsHeaders(Sound):
    """The error has the headers with the key as an attribute."""

    def check(self, request) -> Any:
        try:
            super().check(request)
        except ModelError as error:
            vars(error)["headers"] = {"authorization": f"Bearer {KEY}"}
            raise


@broken("test_repr")
class ShowsItsKey(Sound):
    """The repr is that of a dataclass, with the key."""

    def __repr__(self):
        return f"ShowsItsKey(key={KEY!r})"


@broken("test_request_after_failure")
class StaysDown(Sound):
    """After an error no request succeeds."""

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
    """At the level DEBUG, each request is logged."""

    def check(self, request) -> Any:
        logging.getLogger(__name__).debug("request: %s", {"prompt": request.prompt})
        super().check(request)


@broken("test_logs_quote_no_secret")
class LogsHeaders(Sound):
    """At the level DEBUG, the headers of a refused request are logged."""

    def check(self, request) -> Any:
        if request.prompt.startswith("wrong"):
            logging.getLogger(__name__).debug("headers: %s", {"x-api-key": KEY})
        super().check(request)
