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
        run = copy_context().run  # it is part of the call that waits for it
        self._thread = Thread(target=run, args=(self._run,), name="fibonacci-dynamodb", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether waiting would return, or raise, at once."""
        return not self._thread.is_alive()

    def wait(self, deadline: float) -> T:
        """Return what the work returned, or raise what it raised; TimeoutError at the deadline."""
        # No Event: a signal in mid-call could leave its lock taken. Thread.join is proof.
        self._thread.join(max(0.0, deadline - monotonic()))
        if not self.done:
            raise TimeoutError("the deadline has passed")
        if self._fault is not None:
            raise self._fault
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = self._work()
        except Exception as fault:  # noqa: BLE001 - raised to who waits
            self._fault = fault


class Shared(Generic[T]):
    """Work that is done once for all threads that come while it is done."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._turn = Lock()
        self._errand: Errand[T] | None = None

    def begin(self) -> Errand[T]:
        """Return the errand that runs, or begin one."""
        with self._turn:  # as long as it takes to start a thread
            if self._errand is None or self._errand.done:
                self._errand = Errand(self._work)
            return self._errand
