"""Asking a store again: what surely was not done, or may be done twice, until the deadline.

A backend tries once, and tells the truth. What is asked again is decided here, for all backends
and both voices: every read; a write that surely was not applied; and one whose answer was lost, if
doing it twice is doing it once. A removal or a compare-and-set whose answer was lost is never
asked again: its second answer would be about a record that the first may have changed.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin._runtime.timing import backoff
from fibonacci.plugin.storage import AsyncStore

LONGEST_PAUSE: Final = 0.25
"""Seconds: a server that is back is found within it."""

Fault = BackendUnavailableError | OutcomeUnknownError


def retried(store: AsyncStore) -> AsyncStore:
    """Return the store with faults that may pass waited for, if it has any such."""
    return Retried(store) if store.retry_transient_errors else store


def _again(name: str, *faults: type[Fault]) -> Any:
    async def call(store: "Retried", *args: Any, deadline: float, **kwargs: Any) -> Any:
        ask = getattr(store.store, name)
        try:
            return await ask(*args, deadline=deadline, **kwargs)
        except faults as fault:
            first = fault

        async def once() -> Any:
            return await ask(*args, deadline=deadline, **kwargs)

        return await store.ask_again(once, first, faults, deadline)

    return call


class Retried(AsyncStore):
    """A store that is asked again where that may help and can't harm."""

    def __init__(self, store: AsyncStore) -> None:
        """Wrap the store."""
        self.store = store

    read = _again("read", BackendUnavailableError)
    read_many = _again("read_many", BackendUnavailableError)
    exists = _again("exists", BackendUnavailableError)
    remaining_ttl_ms = _again("remaining_ttl_ms", BackendUnavailableError)
    scan = _again("scan", BackendUnavailableError)
    write = _again("write", BackendUnavailableError, OutcomeUnknownError)
    write_many = _again("write_many", BackendUnavailableError, OutcomeUnknownError)
    touch = _again("touch", BackendUnavailableError, OutcomeUnknownError)
    clear = _again("clear", BackendUnavailableError, OutcomeUnknownError)
    remove = _again("remove", BackendUnavailableError)
    remove_many = _again("remove_many", BackendUnavailableError)
    compare_and_set = _again("compare_and_set", BackendUnavailableError)

    async def close(self) -> None:
        await self.store.close()

    async def ask_again(
        self,
        once: Callable[[], Awaitable[Any]],
        fault: Fault,
        faults: tuple[type[Fault], ...],
        deadline: float,
    ) -> Any:
        """Ask until the store answers; raise what is known of it where that is not in time."""
        attempt = 1
        while True:
            pause = backoff(attempt, base=0.005, cap=LONGEST_PAUSE)
            if monotonic() + pause >= deadline:
                raise fault
            await self._sleep(pause)
            try:
                return await once()
            except faults as again:
                # What may have been applied may have been, whatever the next attempt says; and one
                # that the deadline cut off says less of the cause than the one before it.
                known = isinstance(fault, OutcomeUnknownError)
                if not known and (isinstance(again, OutcomeUnknownError) or monotonic() < deadline):
                    fault = again
            attempt += 1

    async def _sleep(self, seconds: float) -> None:
        await self.store._sleep(seconds)
