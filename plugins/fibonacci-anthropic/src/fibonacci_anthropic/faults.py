"""What went wrong, as a ModelError: whether another try may help, and nothing of what was said."""

from collections.abc import Awaitable, Iterator
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from fibonacci.errors import FibonacciError, ModelError
from fibonacci.plugin import ModelRequest
from fibonacci.plugin.runtime import raise_for_signal, verification_failure
from fibonacci_anthropic.access import Access

if TYPE_CHECKING:
    from anthropic import APIStatusError

T = TypeVar("T")


async def telling(work: Awaitable[T], request: ModelRequest, access: Access) -> T:
    """Do the work; whatever the SDK and what is under it raise comes out as a ModelError.

    Nothing hangs on it, neither as a cause nor as a context: the texts of the others, and what
    they hold, have the prompt, the answer and the key.
    """
    try:
        return await work
    except FibonacciError:
        raise
    except Exception as error:  # noqa: BLE001 - of four libraries
        raise_for_signal(error)
        fault = _model_error(error, request, access)
    raise fault


def _model_error(error: Exception, request: ModelRequest, access: Access) -> ModelError:
    # A TimeoutError is ours, also before the deadline: uvloop's timers ring up to 1 ms early.
    timed_out = isinstance(error, TimeoutError) or monotonic() >= (request.deadline or inf)
    if request.deadline is not None and timed_out:
        return ModelError(
            "anthropic: the answer did not come by the deadline. Allow more time, or ask for "
            "fewer tokens",
            retryable=True,
        )
    # Not sooner: the deadline may pass while it is being imported in a thread.
    from anthropic import AnthropicError, APIError, APIStatusError

    if isinstance(error, APIStatusError):
        return _refused(error, request, access)
    if isinstance(error, UnicodeEncodeError):
        return ModelError("anthropic: the prompt holds half a surrogate pair")
    if isinstance(error, AnthropicError) and not isinstance(error, APIError):
        return ModelError(f"anthropic: the SDK got no credentials: {type(error).__name__}")
    if rule := _rule_broken(error):
        return ModelError(
            f"anthropic: the service shows certificates that do not hold: {rule}. Behind a proxy "
            "of your own, name the file of its authority in SSL_CERT_FILE"
        )
    return ModelError(f"anthropic: {_broken(error)}", retryable=True)


def _refused(error: "APIStatusError", request: ModelRequest, access: Access) -> ModelError:
    from fibonacci_anthropic.refusal import Refusal

    return Refusal(error).told((request.prompt, request.system_prompt, *access.secrets))


def _broken(error: Exception) -> str:
    from httpx2 import TimeoutException, TransportError

    below = list(_causes(error))
    if any(isinstance(one, TimeoutException) for one in below):
        return "the service was silent for too long"
    for one in below:
        if isinstance(one, OSError) and one.strerror:  # the system's words, and nobody else's
            return f"the connection broke: {one.strerror}"
    for one in below:
        if isinstance(one, TransportError):
            return f"the connection broke: {type(one).__name__}"
    return f"the answer can't be read: {type(error).__name__}"


def _rule_broken(error: Exception) -> str | None:
    """Return what is wrong with a certificate, None if it is not about one."""
    from ssl import SSLCertVerificationError

    below = (one for one in _causes(error) if isinstance(one, SSLCertVerificationError))
    return next(map(verification_failure, below), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        # httpcore raises some "from None"; elsewhere a context may be our caller's own.
        is_of_httpcore = type(error).__module__.startswith("httpcore")
        error = error.__context__ if is_of_httpcore else error.__cause__
