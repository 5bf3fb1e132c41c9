"""A store in this process that fails as a server does."""

import time
from collections.abc import Callable
from typing import Any

from fibonacci._builtin.local import LocalStore


class FailingStore(LocalStore):
    """A store whose next calls of one method raise the errors that the test sets."""

    retry_transient_errors = True

    def __init__(self) -> None:
        super().__init__()
        self.method = ""
        self.errors: list[Exception] = []
        self.latency = 0.0
        """Seconds for each call of the method."""
        self.before: Callable[[], object] | None = None
        """Called in each call of the method."""
        self.calls = 0

    def fail_next(self, method: str, *errors: Exception) -> None:
        """Let the next calls of the method raise the errors, one each, and count its calls."""
        self.method, self.errors, self.calls = method, list(errors), 0

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "__dict__").get("method"):
            self.calls += 1
            time.sleep(self.latency)
            if self.before is not None:
                self.before()
            if self.errors:
                raise self.errors.pop(0)
        return super().__getattribute__(name)
