"""A store in this process that responds as slowly as a server."""

import time
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import Any

from fibonacci import BackendUnavailableError
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address


class SlowStore(LocalStore):
    """A store whose responses take some time, so that its callers meet."""

    retry_transient_errors = True
    _in_process = False

    def __init__(self) -> None:
        super().__init__()
        self.latency = 0.002
        """Seconds for each response."""
        self.requests: list[str] = []
        self.before_cas: Callable[[], object] | None = None
        """Called once, before a compare-and-set."""
        self.after_cas: Callable[[], object] | None = None
        """Called once, after a compare-and-set was applied, and before its response."""

    def stall_next_cas(self) -> tuple[Event, Event]:
        """Stall the next compare-and-set: it sets the first event, and waits for the second."""
        reached, released = Event(), Event()

        def stall() -> None:
            reached.set()
            released.wait(30)

        self.before_cas = stall
        return reached, released

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        self._delay("read", deadline)
        return super().read(address, deadline=deadline)

    def compare_and_set(self, *args: Any, deadline: float, **named: Any) -> bool:
        if (before := self.before_cas) is not None:
            self.before_cas = None
            before()
        self._delay("cas", deadline)
        done = super().compare_and_set(*args, deadline=deadline, **named)
        if (after := self.after_cas) is not None:
            self.after_cas = None
            after()
        return done

    def _delay(self, request: str, deadline: float) -> None:
        self.requests.append(request)
        time.sleep(self.latency)
        if monotonic() > deadline:
            raise BackendUnavailableError("the time ran out")
