"""Stores as a test speaks to them: in one mode, one attempt a call."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fibonacci.errors import FibonacciError
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, run_sync
from fibonacci.testing.threads import run_concurrently
from fibonacci_postgres import PostgresBackend, fibonacci_storage

TIMEOUT = 5.0


class Speaker:
    """A store in one mode; each method has the deadline that the store's timeout gives it."""

    def __init__(self, mode: str, backend: PostgresBackend) -> None:
        self.mode = mode
        self.timeout = backend.settings.timeout
        self._runner = asyncio.Runner() if mode == "async" else None
        self.store: Any = backend.create_store() if mode == "sync" else backend.create_async_store()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if name != "close":
                kwargs.setdefault("deadline", time.monotonic() + self.timeout)
            if self._runner is None:
                return run_sync(method(*args, **kwargs))
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

Calls = dict[str, tuple[Any, ...]]


def reads(space: Space) -> Calls:
    """The verbs that only look, and what to ask them in a space."""
    a, b = Address(space, "a"), Address(space, "b")
    return {
        "read": (a,),
        "remaining_ttl_ms": (a,),
        "exists": (a,),
        "scan": (space,),
        "read_many": ([a, b],),
    }


def writes(space: Space, value: bytes = b"new") -> Calls:
    """The verbs that change something."""
    a, b = Address(space, "a"), Address(space, "b")
    return {
        "write": (a, value, None),
        "compare_and_set": (a, b"old", value, None),
        "remove": (a,),
        "touch": (a, 60_000),
        "clear": (space,),
        "write_many": ([(a, value), (b, value)], 60_000),
        "remove_many": ([a, b],),
    }


READS = reads(SPACE)
WRITES = writes(SPACE)
VERBS = READS | WRITES


def until(claim: Callable[[], object]) -> None:
    """Wait for something that others do."""
    deadline = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Attempt:
    """One call: what it answered or raised, and how long it took."""

    def __init__(
        self, speaker: Speaker, verb: str, *args: Any, timeout: float | None = None
    ) -> None:
        self.answer: Any = None
        self.fault: FibonacciError | None = None
        start = time.monotonic()
        deadline = start + (speaker.timeout if timeout is None else timeout)
        try:
            self.answer = getattr(speaker, verb)(*(args or VERBS[verb]), deadline=deadline)
        except FibonacciError as fault:
            self.fault = fault
        self.seconds = time.monotonic() - start


class Crew:
    """A store for each verb, with a space of its own: what they are in for, they meet at once."""

    def __init__(self, opening: Opening, url: str, *, value: bytes = b"new") -> None:
        self._value = value
        self._spaces = {verb: Space("test:", "workflow", verb) for verb in VERBS}
        self.stores = {verb: opening(url) for verb in VERBS}

    def prepare(self) -> None:
        """Have each store connect, prepare its verb's statement, and hold one record."""
        faults = [one.fault for one in self.attempt(TIMEOUT).values() if one.fault]
        if faults:
            raise ExceptionGroup("not prepared", faults)
        for verb, store in self.stores.items():
            store.write(self._record(verb), b"old", None)

    def attempt(self, timeout: float) -> dict[str, Attempt]:
        """Each store does its verb; how each of them fared."""
        attempts: dict[str, Attempt] = {}

        def work(verb: str) -> None:
            space = self._spaces[verb]
            args = (reads(space) | writes(space, self._value))[verb]
            attempts[verb] = Attempt(self.stores[verb], verb, *args, timeout=timeout)

        run_concurrently([lambda verb=verb: work(verb) for verb in VERBS])
        return attempts

    def go_on(self) -> None:
        """The same stores work again, at their first try."""
        for verb, store in self.stores.items():
            store.write(self._record(verb), b"old", None)
            # What the network held back may arrive only now.
            assert store.read(self._record(verb)) in (b"old", self._value, None), verb

    def _record(self, verb: str) -> Address:
        return Address(self._spaces[verb], "a")
