"""Retries of transient errors until the deadline, where a repeated request does no harm.

A backend tries once, and reports what happened. What is retried is decided here, for all backends,
sync and async: every read; a write that certainly was not applied; and a write whose response was
lost, if applying it twice is the same as once. A removal or a compare-and-set whose response was
lost is never retried: the second response would be about a record that the first request may have
changed.

A request that is retried is logged, and so is one that took long.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any, Final

from fibonacci._memory.foreign_errors import describe_request, foreign_error
from fibonacci._memory.guarded_store import GuardedStore
from fibonacci.errors import BackendUnavailableError, FibonacciError, OutcomeUnknownError
from fibonacci.plugin._runtime.errors import error_origin
from fibonacci.plugin._runtime.logs import get_logger
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.timing import backoff
from fibonacci.plugin.storage import AsyncStore

MAX_BACKOFF: Final = 0.25
"""Seconds: a server that is back is noticed within them."""

SLOW_REQUEST: Final = 1.0
"""Seconds after which a request is logged, whether it succeeded or failed."""

TransientError = BackendUnavailableError | OutcomeUnknownError


def add_retries(store: AsyncStore) -> AsyncStore:
    """Return the store with retries if its errors may be transient; it raises only our errors."""
    if store.retry_transient_errors:
        return RetryingStore(store)
    return GuardedStore(store) if store._needs_guard else store


def _retrying(name: str, *retryable: type[TransientError]) -> Any:
    async def call(store: "RetryingStore", *args: Any, deadline: float, **kwargs: Any) -> Any:
        method, started, failed = getattr(store.store, name), monotonic(), True
        result = first_error = None
        try:
            # Not by another coroutine or a partial: they take 0.15 µs and more of each request.
            try:
                result = await method(*args, deadline=deadline, **kwargs)
            except retryable as error:
                first_error = error
            if first_error is not None:
                request = describe_request(name, args)
                attempt = partial(method, *args, deadline=deadline, **kwargs)
                result = await store.retry_until(request, deadline, attempt, first_error, retryable)
            failed = False
            return result
        except FibonacciError:
            raise
        except Exception as error:  # noqa: BLE001 - as in GuardedStore, without its coroutine
            raise_for_signal(error)
            origin = error_origin(error)
        finally:
            # Two readings of the clock: 0.15 µs of the 50 µs and more that a server takes.
            if monotonic() - started >= SLOW_REQUEST:
                _log_slow_request(describe_request(name, args), monotonic() - started, failed)
        raise foreign_error(name, args, origin)

    return call


class RetryingStore(GuardedStore):
    """A store whose transient errors are retried, where that may help and can't harm."""

    read = _retrying("read", BackendUnavailableError)
    read_many = _retrying("read_many", BackendUnavailableError)
    exists = _retrying("exists", BackendUnavailableError)
    remaining_ttl_ms = _retrying("remaining_ttl_ms", BackendUnavailableError)
    scan = _retrying("scan", BackendUnavailableError)
    write = _retrying("write", BackendUnavailableError, OutcomeUnknownError)
    write_many = _retrying("write_many", BackendUnavailableError, OutcomeUnknownError)
    touch = _retrying("touch", BackendUnavailableError, OutcomeUnknownError)
    clear = _retrying("clear", BackendUnavailableError, OutcomeUnknownError)
    remove = _retrying("remove", BackendUnavailableError)
    remove_many = _retrying("remove_many", BackendUnavailableError)
    compare_and_set = _retrying("compare_and_set", BackendUnavailableError)

    async def retry_until(
        self,
        request: str,
        deadline: float,
        attempt: Callable[[], Awaitable[Any]],
        error: TransientError,
        retryable: tuple[type[TransientError], ...],
    ) -> Any:
        """Repeat a failed attempt until it succeeds; raise the most telling error if it does not.

        An OutcomeUnknownError stays what is raised, whatever the next attempts say: the request may
        have been applied. An attempt that the deadline cut off says less of the cause than the one
        before it.
        """
        attempts, latest_error = 1, error
        while True:
            seconds = backoff(attempts, base=0.005, cap=MAX_BACKOFF)
            if monotonic() + seconds >= deadline:
                raise error
            _log_retry(request, attempts + 1, seconds, latest_error)
            await self._sleep(seconds)
            try:
                return await attempt()
            except retryable as latest:
                latest_error = latest
                is_final = isinstance(error, OutcomeUnknownError)
                if not is_final and (
                    isinstance(latest, OutcomeUnknownError) or monotonic() < deadline
                ):
                    error = latest
            attempts += 1


def _log_retry(request: str, attempt: int, seconds: float, error: TransientError) -> None:
    """Log that a request is sent again; at INFO the first time."""
    logger = get_logger("memory")
    write = logger.info if attempt == 2 else logger.debug
    write(
        "%s failed, attempt %d follows in %.3f s: %s: %s",
        request,
        attempt,
        seconds,
        type(error).__name__,
        error,
    )


def _log_slow_request(request: str, seconds: float, failed: bool) -> None:
    outcome = "failed" if failed else "succeeded"
    get_logger("memory").info("%s took %.1f s and %s", request, seconds, outcome)
