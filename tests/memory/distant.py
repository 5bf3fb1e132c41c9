"""A store in the process that is as far as a server."""

import time
from collections.abc import Callable
from time import monotonic
from typing import Any

from fibonacci import BackendUnavailableError
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address


class Distant(LocalStore):
    """A store whose answers take their time, so that its callers meet."""

    retry_transient_errors = True
    _in_process = False

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.002
        """For which each answer travels."""
        self.asked: list[str] = []
        self.before_swap: Callable[[], object] | None = None
        """Called once, before a compare-and-set."""
        self.after_swap: Callable[[], object] | None = None
        """Called once, after one was done, and before it is answered."""

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        self._travel("read", deadline)
        return super().read(address, deadline=deadline)

    def compare_and_set(self, *args: Any, deadline: float, **named: Any) -> bool:
        if (before := self.before_swap) is not None:
            self.before_swap = None
            before()
        self._travel("swap", deadline)
        done = super().compare_and_set(*args, deadline=deadline, **named)
        if (after := self.after_swap) is not None:
            self.after_swap = None
            after()
        return done

    def _travel(self, what: str, deadline: float) -> None:
        self.asked.append(what)
        time.sleep(self.seconds)
        if monotonic() > deadline:
            raise BackendUnavailableError("the time ran out")
