"""Abandoned calls: the server cancels their statements, and connections stay limited."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from forks import in_child
from services.databases import Databases
from services.pgbouncer import PgBouncer
from services.proxy import Proxy

from fibonacci.errors import OutcomeUnknownError
from fibonacci.testing.network import BlackHole
from fibonacci_postgres import abandoned

from .stores import (
    A,
    Attempt,
    B,
    OpenStore,
    StoreClient,
    count_connections,
    create_backend,
    database_name,
    wait_until,
)

PLENTY = 20.0
"""A timeout in seconds that no call reaches."""


@pytest.fixture
def locker(postgres_url: str, postgres_server: Databases) -> Iterator[psycopg.Connection]:
    """A connection that holds a lock on the record, and is the database's only one."""
    store = StoreClient("sync", create_backend(postgres_url))
    store.write(A, b"old", None)
    store.shut_down()
    wait_until(lambda: count_connections(postgres_server, postgres_url) == 0)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT FROM fibonacci WHERE key = 'a' FOR UPDATE")
        yield connection


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot is held until the server has ended the connection, however busy the machine is."""
    monkeypatch.setattr(abandoned, "CANCEL_TIMEOUT", PLENTY)


def count_active(server: Databases, url: str) -> int:
    """Return how many backends execute an INSERT, perhaps waiting for a lock."""
    found = server.execute(
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database_name(url)}' "
        f"AND query LIKE '%INSERT INTO%' AND state = 'active' AND pid <> pg_backend_pid()"
    )
    return int(found[0][0] or 0)


async def cancel_writes(store: StoreClient, times: int, *, together: int) -> None:
    """Start writes and cancel them soon after, several times."""

    async def cancel_once() -> None:
        work = store.store.write(A, b"new", None, deadline=time.monotonic() + PLENTY)
        with suppress(TimeoutError):
            await asyncio.wait_for(work, 0.02)

    for _ in range(times):
        await asyncio.gather(*(cancel_once() for _ in range(together)))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("prepare", [True, False])
def test_cancelled_calls_do_not_accumulate(
    postgres_url: str,
    postgres_server: Databases,
    locker: psycopg.Connection,
    prepare: bool,
) -> None:
    """Repeatedly cancelled writes use max_connections backends at most, and then none."""
    url = postgres_url
    store = StoreClient(
        "async", create_backend(url, timeout=PLENTY, max_connections=2, prepare=prepare)
    )
    for _ in range(5):
        store.run(cancel_writes(store, 2, together=3))
        assert count_connections(postgres_server, url) <= 2
    store.shut_down()
    wait_until(
        lambda: count_connections(postgres_server, url) == 0
    )  # although the lock is still held
    locker.rollback()
    assert locker.execute("SELECT value FROM fibonacci").fetchall() == [(b"old",)]


@pytest.mark.usefixtures("patient")
def test_cancelled_connection_attempts_do_not_accumulate(
    postgres_url: str, postgres_server: Databases
) -> None:
    """Writes that are cancelled during a slow login use max_connections backends at most."""
    url = postgres_url
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("""
            CREATE FUNCTION dawdle() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.5); END $$""")
        server.execute("CREATE EVENT TRIGGER dawdle ON login EXECUTE FUNCTION dawdle()")
    store = StoreClient("async", create_backend(url, timeout=PLENTY, max_connections=2))
    for _ in range(5):
        store.run(cancel_writes(store, 2, together=3))
        assert count_connections(postgres_server, url) <= 2
    assert store.read(A) is None
    store.shut_down()


def test_ignored_cancel_request_is_repeated(
    open_store: OpenStore, postgres_url: str, postgres_server: Databases
) -> None:
    """The store sends another cancel request if the server ignored the first."""
    store = open_store(postgres_url, timeout=PLENTY)
    store.write(A, b"old", None)
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute("""
            CREATE FUNCTION insist() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(20); RETURN new;
            EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(20); RETURN new; END $$""")
        server.execute(
            "CREATE TRIGGER insist BEFORE UPDATE ON fibonacci "
            "FOR EACH ROW EXECUTE FUNCTION insist()"
        )
    assert type(Attempt(store, "write", timeout=0.1).error) is OutcomeUnknownError
    wait_until(lambda: count_active(postgres_server, postgres_url) == 0)
    assert store.read(A) == b"old"


def test_pooler_forwards_the_cancel_request(
    pgbouncer_server: PgBouncer, pgbouncer_url: str
) -> None:
    """A pooler forwards the cancel request of an abandoned call to the server."""
    server = pgbouncer_server.behind
    direct = server.url.rpartition("/")[0] + "/" + pgbouncer_url.rpartition("/")[2]
    store = StoreClient("async", create_backend(pgbouncer_url, timeout=PLENTY, prepare=False))
    store.write(A, b"old", None)
    with psycopg.connect(direct) as locker:
        locker.execute("SELECT FROM fibonacci WHERE key = 'a' FOR UPDATE")
        store.run(cancel_writes(store, 1, together=1))
        wait_until(lambda: count_active(server, direct) == 0)
    assert store.read(A) == b"old"
    store.shut_down()


def test_timed_out_call_is_cancelled_on_the_server(
    open_store: OpenStore, postgres_url: str, postgres_server: Databases, locker: psycopg.Connection
) -> None:
    """A call that times out is cancelled on the server, and its slot serves the next call."""
    store = open_store(postgres_url, timeout=PLENTY, max_connections=1)
    store.write(B, b"other", None)  # connects: the timeout below is for the statement only
    attempt = Attempt(store, "write", timeout=0.2)
    assert type(attempt.error) is OutcomeUnknownError
    assert store.read(A) == b"old"
    assert count_active(postgres_server, postgres_url) == 0
    locker.rollback()
    assert store.read(A) == b"old"


def test_unresponsive_server_frees_the_slot(
    postgres_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server does not confirm the cancellation, the slot is free after CANCEL_TIMEOUT."""
    monkeypatch.setattr(abandoned, "CANCEL_TIMEOUT", 0.3)
    store = StoreClient("sync", create_backend(postgres_proxy.url, max_connections=1))
    store.write(A, b"old", None)
    with postgres_proxy.fault(BlackHole()):
        assert type(Attempt(store, "write", timeout=0.1).error) is OutcomeUnknownError
        error = Attempt(store, "read", timeout=0.1).error
        assert "At most 1 are used at once" in str(error)
    assert Attempt(store, "read", timeout=PLENTY).error is None
    store.shut_down()


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_forked_child_cancels_nothing(postgres_url: str) -> None:
    """A forked child that discards its copy of a busy connection does not cancel the statement."""
    store = StoreClient("sync", create_backend(postgres_url))
    store.write(A, b"old", None)
    connection = store.store._executor._pool.pop_idle()
    connection.send_script(b"SELECT pg_sleep(0.3)")

    def discard() -> bool:
        is_executing = connection.is_executing()
        store.store._executor._pool.discard(connection)
        return not is_executing

    assert connection.is_executing()
    in_child(discard)
    while not connection.process_io():
        connection.poller.poll(1000)
    assert connection.take_result() is not None
    store.shut_down()
