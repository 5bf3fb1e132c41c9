"""Concurrent callers: no update is lost, nothing deadlocks, and connections are limited."""

import asyncio
import os
import random
import threading
import time
from functools import partial
from pathlib import Path

import psycopg
import pytest
from services.databases import Databases

from fibonacci import MemoryConfig, MemoryManager, Workflow
from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin import Address, run_sync
from fibonacci.testing.threads import run_concurrently
from fibonacci_postgres import pool
from fibonacci_postgres.connection import Connection
from fibonacci_postgres.driver import DriverError, pq
from fibonacci_postgres.statements import build_statements
from fibonacci_postgres.waiting import BlockingWait

from .stores import (
    SPACE,
    A,
    OpenStore,
    StoreClient,
    count_connections,
    create_backend,
    wait_until,
)

WORKERS = 8
ROUNDS = 50

WAITING = "SELECT FROM pg_locks WHERE relation = 'fibonacci'::regclass AND NOT granted"
"""The callers that wait for a lock on the table."""


def memory(url: str) -> MemoryManager:
    """The memory of a workflow on a database."""
    return Workflow("w", MemoryConfig(backend="postgres", connection_url=url, timeout=20)).memory


def test_threads_lose_no_update(postgres_url: str) -> None:
    """Of 400 appends and 400 increments by eight threads, none is lost (C16)."""
    shared = memory(postgres_url)

    def work(number: int) -> None:
        for round_number in range(ROUNDS):
            shared.append("rounds", [number, round_number])
            shared.increment("n")

    run_concurrently([partial(work, number) for number in range(WORKERS)])
    assert shared.get("n") == WORKERS * ROUNDS
    assert len({tuple(entry) for entry in shared.get("rounds")}) == WORKERS * ROUNDS


def test_tasks_lose_no_update(postgres_url: str) -> None:
    """Of 400 appends and 400 increments by eight tasks on one event loop, none is lost (C16)."""
    shared = memory(postgres_url)

    async def work(number: int) -> None:
        for round_number in range(ROUNDS):
            await shared.aappend("rounds", [number, round_number])
            await shared.aincrement("n")

    async def all_of_them() -> None:
        await asyncio.gather(*map(work, range(WORKERS)))
        await shared.aclose()

    asyncio.run(all_of_them())
    again = memory(postgres_url)
    assert again.get("n") == WORKERS * ROUNDS
    assert len(again.get("rounds")) == WORKERS * ROUNDS


@pytest.mark.bare
def test_forked_processes_lose_no_update(postgres_url: str) -> None:
    """Four forked processes that share an inherited store lose no update (C16, C21)."""
    shared = memory(postgres_url)
    shared.set("n", 0)
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            code = 1
            try:
                for round_number in range(100):
                    shared.append("rounds", [number, round_number])
                    shared.increment("n")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert shared.get("n") == 400
    assert len(shared.get("rounds")) == 400


def test_batches_do_not_deadlock(postgres_url: str) -> None:
    """Batches of the same keys in any order, with clears between them, don't deadlock (C17)."""
    stores = [StoreClient("sync", create_backend(postgres_url, timeout=20)) for _ in range(WORKERS)]
    addresses = [Address(SPACE, f"k{number}") for number in range(100)]
    stores[0].write_many([(address, b"0") for address in addresses], None)

    def work(number: int) -> None:
        dice = random.Random(number)
        for round_number in range(25):
            some = dice.sample(addresses, 60)
            stores[number].write_many([(address, b"%d" % round_number) for address in some], None)
            if round_number % 5 == 0:
                stores[number].remove_many(some)
            if round_number % 8 == 0:
                stores[number].clear(SPACE)

    run_concurrently([partial(work, number) for number in range(WORKERS)])
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert found == (0,)
    for store in stores:
        store.shut_down()


def test_threads_share_max_connections(postgres_url: str, postgres_server: Databases) -> None:
    """Threads use max_connections at most; the other callers wait."""
    store = StoreClient("sync", create_backend(postgres_url, max_connections=2))
    most = []

    def work() -> None:
        for _ in range(20):
            store.write(A, b"1", None)
            most.append(count_connections(postgres_server, postgres_url))

    run_concurrently([work] * WORKERS)
    assert max(most) <= 2
    store.shut_down()


def test_tasks_share_max_connections(postgres_url: str, postgres_server: Databases) -> None:
    """Tasks use max_connections at most, even if some are cancelled while they wait."""
    store = StoreClient("async", create_backend(postgres_url, max_connections=2))

    async def together() -> list[object]:
        end = time.monotonic() + 5
        tasks = [
            asyncio.create_task(store.store.write(A, b"1", None, deadline=end)) for _ in range(40)
        ]
        await asyncio.sleep(0.01)
        for task in tasks[10:30]:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    done = store.run(together())
    assert all(each is None or isinstance(each, asyncio.CancelledError) for each in done)
    assert count_connections(postgres_server, postgres_url) <= 2
    assert store.read(A) == b"1"
    store.shut_down()


def test_pool_timeout_names_the_limit(postgres_url: str) -> None:
    """A caller that gets no connection before the deadline gets an error with the limit."""
    store = StoreClient("sync", create_backend(postgres_url, max_connections=1, timeout=60))
    store.write(A, b"1", None)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        reader = threading.Thread(target=store.read, args=(A,))
        reader.start()
        wait_until(lambda: connection.execute(WAITING).rowcount == 1)
        with pytest.raises(BackendUnavailableError, match="At most 1 are used at once"):
            store.read(A, deadline=time.monotonic() + 0.2)
    reader.join()
    store.shut_down()


def test_idle_connections_are_closed_after_a_burst(
    postgres_server: Databases, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a burst of callers, each call closes one connection that was idle too long."""
    monkeypatch.setattr(pool, "IDLE_TIMEOUT", 0.3)
    store = StoreClient("sync", create_backend(postgres_url))
    with psycopg.connect(postgres_url) as connection:
        store.read(A)
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")

        def unlock() -> None:
            wait_until(lambda: connection.execute(WAITING).rowcount == 5)
            connection.rollback()

        run_concurrently([unlock] + [lambda: store.read(A)] * 5)
    wait_until(lambda: count_connections(postgres_server, postgres_url) == 5)
    end = time.monotonic() + 5
    while count_connections(postgres_server, postgres_url) > 1:
        assert time.monotonic() < end
        store.read(A)
        time.sleep(0.02)
    store.shut_down()


def test_closed_store_reconnects(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A closed store leaves no connection open, and reconnects if it is used again."""
    store = open_store(postgres_url)
    store.write(A, b"1", None)
    assert count_connections(postgres_server, postgres_url) == 1
    store.close()
    assert store.read(A) == b"1"
    wait_until_all_closed(postgres_server, postgres_url)


def test_collected_store_closes_its_connections(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A store that is garbage-collected closes its connections."""
    store = open_store(postgres_url)
    store.write(A, b"1", None)
    store.store = open_store(postgres_url).store
    wait_until_all_closed(postgres_server, postgres_url)


def wait_until_all_closed(server: Databases, url: str) -> None:
    """Wait until the server has noticed that all connections are closed."""
    end = time.monotonic() + 5
    while count_connections(server, url):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_store_starts_no_thread(postgres_url: str) -> None:
    """A store starts no thread, and opens no file except its connections."""
    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    store = StoreClient("sync", create_backend(postgres_url))
    store.write(A, b"1", None)
    assert threading.active_count() <= before[0]  # other tests' threads may have ended
    assert len(list(Path("/proc/self/fd").iterdir())) <= before[1] + 1
    store.shut_down()


def test_waiting_callers_are_served_in_order(postgres_url: str) -> None:
    """Callers that repeat their calls don't overtake those that already wait."""
    store = StoreClient("async", create_backend(postgres_url, max_connections=1))
    done = [0] * 6

    async def work(number: int) -> None:
        while max(done) < 40:
            await store.store.read(A, deadline=time.monotonic() + 20)
            done[number] += 1
            assert max(done) - min(done) <= 2, done

    async def together() -> None:
        await asyncio.gather(*map(work, range(len(done))))

    store.run(together())
    store.shut_down()


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_thousands_of_tasks_all_get_a_connection(postgres_url: str, count: int) -> None:
    """Thousands of tasks may call at once; each gets a connection."""
    store = StoreClient("async", create_backend(postgres_url))
    store.write(A, b"1", None)

    async def together() -> list[object]:
        end = time.monotonic() + 20
        return await asyncio.gather(*(store.store.read(A, deadline=end) for _ in range(count)))

    assert store.run(together()) == [b"1"] * count
    store.shut_down()


def test_failed_send_counts_as_not_sent() -> None:
    """A statement that libpq failed to send counts as not sent."""
    connection = Connection()
    connection.pgconn = pq.PGconn.connect_start(b"host=/nowhere")
    statement = build_statements("t").sweep
    for send in (connection.send_prepared, connection.send_unprepared):
        connection.sent = True
        with pytest.raises(DriverError):
            send(statement, [])
        assert not connection.sent


def test_lost_connection_frees_its_slot() -> None:
    """A connection lost to an exception gives its slot to the first waiting caller."""
    connections = pool.ConnectionPool(1, BlockingWait())

    async def connect(connection: Connection, _: float) -> None:
        connection.fd = 0  # counts as connected

    def take() -> Connection:
        return run_sync(connections.getconn(connect, time.monotonic() + 20))

    held = [take()]
    found: list[Connection] = []
    waiting = threading.Thread(target=lambda: found.append(take()))
    waiting.start()
    wait_until(lambda: bool(connections._queue))
    held.clear()
    waiting.join()
    assert found
