"""Work that knows no deadline, done in a thread, so that its caller can keep one.

Looking up a host's name, and fetching credentials, may take minutes, and nothing can hurry them.
"""

from collections.abc import Callable
from contextvars import copy_context
from threading import Lock, Thread
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Errand(Generic[T]):
    """One piece of work, begun at once. Any number of threads may wait for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._answer: T
        self._fault: Exception | None = None
        # A plain lock: unlike an Event's, a signal in mid-call can't leave it taken.
        self._running = Lock()
        self._running.acquire()
        run = copy_context().run  # it is part of the call that waits for it
        Thread(target=run, args=(self._run,), name="fibonacci-dynamodb", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether waiting would return, or raise, at once."""
        return not self._running.locked()

    def wait(self, deadline: float) -> T:
        """Return what the work returned, or raise what it raised; TimeoutError at the deadline."""
        if not self._running.acquire(timeout=max(0.0, deadline - monotonic())):
            raise TimeoutError
        self._running.release()
        if self._fault is not None:
            raise self._fault
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = self._work()
        except Exception as fault:  # noqa: BLE001 - raised to who waits
            self._fault = fault
        finally:
            self._running.release()
