"""Stores as a test speaks to them: in one voice, one attempt a call."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fibonacci.errors import FibonacciError
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL
from fibonacci_postgres import PostgresBackend, fibonacci_storage

TIMEOUT = 5.0


class Speaker:
    """A store in one voice; each method has the deadline that the store's timeout gives it."""

    def __init__(self, voice: str, backend: PostgresBackend) -> None:
        self.voice = voice
        self.timeout = backend.settings.timeout
        self._runner = asyncio.Runner() if voice == "async" else None
        self.store: Any = backend.connect() if voice == "sync" else backend.aconnect()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if name != "close":
                kwargs.setdefault("deadline", time.monotonic() + self.timeout)
            if self._runner is None:
                return method(*args, **kwargs)
            return self.run(method(*args, **kwargs))

        return call

    def run(self, work: Any) -> Any:
        """Run a coroutine on the loop of this store."""
        assert self._runner
        return self._runner.run(work)

    def end(self) -> None:
        self.close()
        if self._runner:
            self._runner.close()


Opening = Callable[..., Speaker]


def backend(url: str, timeout: float = TIMEOUT, **options: Any) -> PostgresBackend:
    """What the hook returns for a URL."""
    settings = StoreSettings(url=StoreURL.parse(url), options=options, timeout=timeout)
    found = fibonacci_storage(settings)
    assert isinstance(found, PostgresBackend)
    return found


SPACE = Space("test:", "workflow", "w")
A = Address(SPACE, "a")
B = Address(SPACE, "b")

READS: dict[str, tuple[Any, ...]] = {
    "read": (A,),
    "remaining": (A,),
    "exists": (A,),
    "scan": (SPACE,),
    "read_many": ([A, B],),
}
WRITES: dict[str, tuple[Any, ...]] = {
    "write": (A, b"new", None),
    "compare_and_set": (A, b"old", b"new", None),
    "remove": (A,),
    "touch": (A, 60_000),
    "clear": (SPACE,),
    "write_many": ([(A, b"new"), (B, b"new")], 60_000),
    "remove_many": ([A, B],),
}
VERBS = READS | WRITES


class Attempt:
    """One call: what it answered or raised, and how long it took."""

    def __init__(self, speaker: Speaker, verb: str, *args: Any) -> None:
        self.answer: Any = None
        self.fault: FibonacciError | None = None
        start = time.monotonic()
        try:
            self.answer = getattr(speaker, verb)(*(args or VERBS[verb]))
        except FibonacciError as fault:
            self.fault = fault
        self.seconds = time.monotonic() - start
