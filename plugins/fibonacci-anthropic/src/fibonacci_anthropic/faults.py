"""Maps errors of the SDK and the service to ModelError: retryable or not, without any content."""

import math
import re
from collections.abc import Awaitable, Iterator, Sequence
from time import monotonic, time
from typing import TYPE_CHECKING, Final, TypeVar

from fibonacci.errors import FibonacciError, ModelError
from fibonacci.plugin import ModelRequest
from fibonacci.plugin.runtime import quotes_text, raise_for_signal, verification_failure
from fibonacci_anthropic.conversation import conversation_texts
from fibonacci_anthropic.credentials import Credentials

if TYPE_CHECKING:
    from anthropic import APIStatusError

T = TypeVar("T")

TRANSIENT_STATUSES: Final = frozenset((408, 409, 429))
"""Statuses below 500 after which the SDK would retry, too."""
TRANSIENT_TYPES: Final = frozenset(
    ("api_error", "overloaded_error", "rate_limit_error", "timeout_error")
)
"""Error types for an error within a stream, whose status is 200."""

HINTS: Final = {
    401: "Check ANTHROPIC_API_KEY",
    402: "Check the account's billing",
    403: "The key may not use this model",
    404: "Check the model's name, and ANTHROPIC_BASE_URL",
    413: "Shorten the prompt or the history",
}

MAX_MESSAGE: Final = 300
"""Characters of the service's message that are reported."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


async def map_errors(work: Awaitable[T], request: ModelRequest, credentials: Credentials) -> T:
    """Await the work, and raise errors of the SDK and the libraries below it as ModelError.

    The ModelError has no cause and no context: their texts and attributes hold the prompt, the
    response and the key.
    """
    try:
        return await work
    except FibonacciError:
        raise
    except Exception as error:  # noqa: BLE001 - of four libraries
        raise_for_signal(error)
        mapped = _map_error(error, request, credentials)
    raise mapped


def _map_error(error: Exception, request: ModelRequest, credentials: Credentials) -> ModelError:
    # A TimeoutError is ours, also before the deadline: uvloop's timers fire up to 1 ms early.
    timed_out = isinstance(error, TimeoutError) or monotonic() >= (request.deadline or math.inf)
    if request.deadline is not None and timed_out:
        return ModelError(
            "anthropic: timed out: no complete response by the deadline. Allow more time, or "
            "request fewer tokens",
            retryable=True,
        )
    # Not sooner: the deadline may pass while this is imported in a thread.
    from anthropic import AnthropicError, APIError, APIStatusError

    if isinstance(error, APIStatusError):
        texts = conversation_texts(request.messages)
        sent = (request.prompt, request.system_prompt, *texts, *credentials.secrets)
        return APIErrorInfo(error).to_model_error(sent)
    if isinstance(error, UnicodeEncodeError):
        return ModelError("anthropic: the prompt or the history contains half a surrogate pair")
    if isinstance(error, AnthropicError) and not isinstance(error, APIError):
        return ModelError(f"anthropic: the SDK got no credentials: {type(error).__name__}")
    if reason := _certificate_problem(error):
        return ModelError(
            f"anthropic: TLS certificate verification failed: {reason}. Behind a private proxy, "
            "set SSL_CERT_FILE to the file of its certificate authority"
        )
    return ModelError(f"anthropic: {_connection_problem(error)}", retryable=True)


def _connection_problem(error: Exception) -> str:
    from httpx2 import TimeoutException, TransportError

    causes = list(_causes(error))
    if any(isinstance(cause, TimeoutException) for cause in causes):
        return "the service did not respond in time"
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:  # the operating system's own text
            return f"the connection broke: {cause.strerror}"
    for cause in causes:
        if isinstance(cause, TransportError):
            return f"the connection broke: {type(cause).__name__}"
    return f"the response can't be parsed: {type(error).__name__}"


def _certificate_problem(error: Exception) -> str | None:
    """Return what is wrong with a certificate, None if the error is not about one."""
    from ssl import SSLCertVerificationError

    causes = (cause for cause in _causes(error) if isinstance(cause, SSLCertVerificationError))
    return next(map(verification_failure, causes), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        # httpcore raises some "from None"; elsewhere a context may be our caller's own.
        is_of_httpcore = type(error).__module__.startswith("httpcore")
        error = error.__context__ if is_of_httpcore else error.__cause__


class APIErrorInfo:
    """An error response of the service: status, type, and its message where that is safe."""

    def __init__(self, error: "APIStatusError") -> None:
        self._error = error
        self._headers = error.response.headers
        error_type, self._message = _type_and_message(error.body)
        self._type = _identifier(error_type)
        self._is_in_stream = error.response.is_success

    def to_model_error(self, sent: Sequence[str | None]) -> ModelError:
        """Return it as a ModelError, without anything that was sent or is secret."""
        status = "in the stream" if self._is_in_stream else str(self._error.status_code)
        parts = [f"anthropic: the service returned an error, {status} {self._type}".rstrip()]
        if message := self._safe_message(sent):
            parts.append(f": {message}")
        if request_id := _identifier(self._headers.get("request-id")):
            parts.append(f" (request {request_id})")
        if hint := HINTS.get(self._error.status_code):
            parts.append(f". {hint}")
        return ModelError(
            "".join(parts),
            retryable=self._is_transient(),
            retry_after=parse_retry_after(self._headers.get("retry-after")),
        )

    def _safe_message(self, sent: Sequence[str | None]) -> str:
        message = " ".join(self._message.split())[:MAX_MESSAGE]
        return "" if quotes_text(message, sent) else message.rstrip(". ")

    def _is_transient(self) -> bool:
        if self._is_in_stream:
            return self._type in TRANSIENT_TYPES
        if (header := self._headers.get("x-should-retry")) in {"true", "false"}:
            return header == "true"
        return self._error.status_code in TRANSIENT_STATUSES or self._error.status_code >= 500


def _type_and_message(body: object) -> tuple[object, str]:
    """Return the type and the message of an error that came as JSON."""
    match body:
        case {"error": {"type": error_type, "message": str(message)}}:
            return error_type, message
    return "", ""


def _identifier(text: object) -> str:
    return text if isinstance(text, str) and _IDENTIFIER.fullmatch(text) else ""


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds in a Retry-After header (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        from email.utils import parsedate_to_datetime  # slow to import

        try:
            seconds = parsedate_to_datetime(header).timestamp() - time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
