"""Stores as tests call them: in one mode, with one attempt for each call."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psycopg
from services.databases import Databases

from fibonacci.errors import FibonacciError
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, run_sync
from fibonacci.testing.threads import run_concurrently
from fibonacci_postgres import PostgresBackend, fibonacci_storage

TIMEOUT = 5.0


class StoreClient:
    """A store in one mode; by default each call's deadline follows from the store's timeout."""

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

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on this store's event loop."""
        assert self._runner
        return self._runner.run(coroutine)

    def shut_down(self) -> None:
        """Close the store and its event loop."""
        self.close()
        if self._runner:
            self._runner.close()


OpenStore = Callable[..., StoreClient]


def create_backend(url: str, timeout: float = TIMEOUT, **options: Any) -> PostgresBackend:
    """What the hook returns for a URL."""
    settings = StoreSettings(url=StoreURL.parse(url), options=options, timeout=timeout)
    backend = fibonacci_storage(settings)
    assert isinstance(backend, PostgresBackend)
    return backend


SPACE = Space("test:", "workflow", "w")
A = Address(SPACE, "a")
B = Address(SPACE, "b")

Calls = dict[str, tuple[Any, ...]]


def reads(space: Space) -> Calls:
    """The verbs that change nothing, with their arguments for a space."""
    a, b = Address(space, "a"), Address(space, "b")
    return {
        "read": (a,),
        "remaining_ttl_ms": (a,),
        "exists": (a,),
        "scan": (space,),
        "read_many": ([a, b],),
    }


def writes(space: Space, value: bytes = b"new") -> Calls:
    """The verbs that change something, with their arguments for a space."""
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


def database_name(url: str) -> str:
    """Return the name of a URL's database."""
    return url.partition("?")[0].rpartition("/")[2]


def count_connections(server: Databases, url: str) -> int:
    """Return how many of our connections a database has."""
    found = server.execute(
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database_name(url)}' "
        f"AND application_name = 'fibonacci'"
    )
    return int(found[0][0] or 0)


def insert_expired(url: str, count: int) -> None:
    """Insert expired rows into the table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO fibonacci SELECT 'x', n::text::bytea, '1', now() - interval '1 s' "
            "FROM generate_series(1, %s) AS n",
            [count],
        )


def reject_deletes(url: str) -> None:
    """Have the server reject each statement that deletes a row of the table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("""
            CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no'; END $$""")
        connection.execute(
            "CREATE TRIGGER reject BEFORE DELETE ON fibonacci "
            "FOR EACH ROW EXECUTE FUNCTION reject()"
        )


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after 30 s."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Attempt:
    """One call: its result or error, and its duration."""

    def __init__(
        self, store: StoreClient, verb: str, *args: Any, timeout: float | None = None
    ) -> None:
        self.result: Any = None
        self.error: FibonacciError | None = None
        start = time.monotonic()
        deadline = start + (store.timeout if timeout is None else timeout)
        try:
            self.result = getattr(store, verb)(*(args or VERBS[verb]), deadline=deadline)
        except FibonacciError as error:
            self.error = error
        self.seconds = time.monotonic() - start


class StorePerVerb:
    """A store and a space for each verb, to call all verbs at the same time."""

    def __init__(self, open_store: OpenStore, url: str, *, value: bytes = b"new") -> None:
        self._value = value
        self._spaces = {verb: Space("test:", "workflow", verb) for verb in VERBS}
        self.stores = {verb: open_store(url) for verb in VERBS}

    def prepare(self) -> None:
        """Have each store connect, prepare its verb's statement, and write one record."""
        errors = [attempt.error for attempt in self.attempt(TIMEOUT).values() if attempt.error]
        if errors:
            raise ExceptionGroup("not prepared", errors)
        for verb, store in self.stores.items():
            store.write(self._record(verb), b"old", None)

    def attempt(self, timeout: float) -> dict[str, Attempt]:
        """Call each verb on its store, all at the same time."""
        attempts: dict[str, Attempt] = {}

        def call(verb: str) -> None:
            space = self._spaces[verb]
            args = (reads(space) | writes(space, self._value))[verb]
            attempts[verb] = Attempt(self.stores[verb], verb, *args, timeout=timeout)

        run_concurrently([lambda verb=verb: call(verb) for verb in VERBS])
        return attempts

    def check_recovered(self) -> None:
        """Check that the same stores work again, at the first attempt."""
        for verb, store in self.stores.items():
            store.write(self._record(verb), b"old", None)
            # A request that the network delayed may arrive only now.
            assert store.read(self._record(verb)) in (b"old", self._value, None), verb

    def _record(self, verb: str) -> Address:
        return Address(self._spaces[verb], "a")
