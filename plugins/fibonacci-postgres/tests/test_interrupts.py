"""Interrupted calls: their connection is closed, and no response reaches another call (C19)."""

import asyncio
import gc
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from alarms import Alarm, alarms
from services.proxy import Proxy

from fibonacci import MemoryConfig, Workflow
from fibonacci.plugin import Address
from fibonacci.testing.network import BlackHole

from .stores import SPACE, A, StoreClient, create_backend

PLENTY = 20.0
"""A timeout in seconds that no call reaches."""
KEYS = [Address(SPACE, f"k{number}") for number in range(10)]


@pytest.fixture
def store(postgres_url: str) -> Iterator[StoreClient]:
    """A store in sync code in which each record holds its key."""
    store = StoreClient("sync", create_backend(postgres_url, timeout=PLENTY))
    store.write_many([(address, address.key.encode()) for address in KEYS], None)
    yield store
    store.shut_down()


@pytest.fixture(name="alarms")
def alarm_handler() -> Iterator[None]:
    """SIGALRM raises Alarm during the test."""
    with alarms():
        yield


@pytest.mark.bare
@pytest.mark.parametrize("rounds", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_signal_handlers_do_not_mix_up_responses(
    store: StoreClient, alarms: None, rounds: int
) -> None:
    """After a signal handler raised during a call, later calls get their own responses."""
    dice = random.Random(1)
    interrupts = 0
    for _ in range(rounds):
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.003))
            while True:  # with a condition, CPython 3.13 may not catch in this `try`
                for address in KEYS:
                    assert store.read(address) == address.key.encode()
                    store.write(address, address.key.encode(), None)
        except Alarm:
            interrupts += 1
    assert interrupts == rounds
    assert store.read_many(KEYS) == [address.key.encode() for address in KEYS]


@pytest.mark.bare
def test_signal_handler_runs_while_waiting(
    store: StoreClient, alarms: None, postgres_url: str
) -> None:
    """A signal handler runs at once while the server does not respond."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        start = time.monotonic()
        with pytest.raises(Alarm):
            store.read(A)
        assert time.monotonic() - start < PLENTY / 2
    assert store.read(KEYS[0]) == b"k0"


@pytest.mark.bare
def test_signal_handler_runs_while_connecting(alarms: None, postgres_proxy: Proxy) -> None:
    """A signal handler runs at once while connecting, and the slot is free afterwards."""
    store = StoreClient(
        "sync", create_backend(postgres_proxy.url, table="struck", max_connections=1)
    )
    with postgres_proxy.fault(BlackHole()):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Alarm):
            store.read(A)
    assert store.read(A) is None
    store.shut_down()


@pytest.mark.bare
def test_signal_handler_may_use_the_store(store: StoreClient) -> None:
    """A signal handler may use the store that it interrupts."""
    seen: list[bytes | None] = []

    def read_in_handler(*_: object) -> None:
        seen.append(store.read(KEYS[1]))

    previous_handler = signal.signal(signal.SIGALRM, read_in_handler)
    try:
        for number in range(200):
            signal.setitimer(signal.ITIMER_REAL, 0.00001 + number * 1e-6)
            while len(seen) <= number:
                assert store.read(KEYS[0]) == b"k0"
    finally:
        signal.signal(signal.SIGALRM, previous_handler)
    assert set(seen) == {b"k1"}


class SoftTimeLimit(Exception):  # noqa: N818 - as Celery names it
    """An exception like the ones that task queues raise."""


@pytest.mark.bare
@pytest.mark.parametrize("kind", [SoftTimeLimit, TimeoutError])
@pytest.mark.parametrize("rounds", [50, pytest.param(600, marks=pytest.mark.long)])
def test_signal_handler_exception_propagates(
    postgres_url: str, kind: type[Exception], rounds: int
) -> None:
    """A signal handler's exception propagates unchanged, and a write is applied at most once."""
    config = MemoryConfig(backend="postgres", connection_url=postgres_url, timeout=PLENTY)
    memory = Workflow("w", config).memory
    memory.append("log", -1)
    numbers = itertools.count()
    dice = random.Random(1)

    def interrupt(*_: object) -> None:
        raise kind("the time of the job is over")

    def append_until_interrupted(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            memory.append("log", next(numbers), max_items=50)

    with alarms():
        signal.signal(signal.SIGALRM, interrupt)
        for _ in range(rounds):
            with pytest.raises(kind, match="of the job"):
                append_until_interrupted(dice.uniform(0.0001, 0.002))
            log = memory.get("log")
            assert len(set(log)) == len(log)


@pytest.mark.bare
def test_signal_handler_may_use_the_store_during_a_wait(postgres_url: str) -> None:
    """A signal handler may use the store while its thread waits for a connection."""
    store = StoreClient("sync", create_backend(postgres_url, timeout=PLENTY, max_connections=1))
    store.write(A, b"1", None)
    seen: list[bytes | None] = []
    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        reader = threading.Thread(target=store.read, args=(A,))
        reader.start()
        time.sleep(0.05)

        def read_in_handler(*_: object) -> None:
            threading.Timer(0.05, connection.rollback).start()
            seen.append(store.read(A))

        previous_handler = signal.signal(signal.SIGALRM, read_in_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            seen.append(store.read(A))
        finally:
            signal.signal(signal.SIGALRM, previous_handler)
    reader.join()
    assert seen == [b"1", b"1"]
    store.shut_down()


@pytest.mark.parametrize("rounds", [60, pytest.param(600, marks=pytest.mark.long)])
def test_cancelled_tasks_do_not_mix_up_responses(postgres_url: str, rounds: int) -> None:
    """A cancelled task ends at once, and later calls get their own responses."""
    store = StoreClient("async", create_backend(postgres_url))
    dice = random.Random(1)

    async def work(address: Address) -> None:
        while True:
            found = await store.store.read(address, deadline=time.monotonic() + PLENTY)
            assert found == address.key.encode()
            await store.store.write(
                address, address.key.encode(), None, deadline=time.monotonic() + PLENTY
            )

    async def cancel_some() -> None:
        tasks = [asyncio.create_task(work(address)) for address in KEYS]
        await asyncio.sleep(dice.uniform(0, 0.02))
        for task in tasks:
            task.cancel()
        start = time.monotonic()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - start < PLENTY / 2
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    store.write_many([(address, address.key.encode()) for address in KEYS], None)
    for _ in range(rounds):
        store.run(cancel_some())
    assert store.read_many(KEYS) == [address.key.encode() for address in KEYS]
    store.shut_down()


def test_cancelled_task_does_not_wait_for_the_server(postgres_url: str) -> None:
    """A cancelled task ends at once even if the server does not respond."""
    store = StoreClient("async", create_backend(postgres_url))
    store.write(A, b"1", None)

    async def cancel_one(server: psycopg.Connection) -> float:
        task = asyncio.create_task(store.store.read(A, deadline=time.monotonic() + PLENTY))
        waiting = "SELECT FROM pg_locks WHERE NOT granted"
        while not server.execute(waiting).fetchall():  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.005)
        task.cancel()
        start = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - start

    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        assert store.run(cancel_one(connection)) < PLENTY / 2
    assert store.read(A) == b"1"
    store.shut_down()


def test_event_loops_one_after_another(postgres_url: str) -> None:
    """Each of several event loops, one after another, has its own store (C21)."""
    for number in range(5):
        store = StoreClient("async", create_backend(postgres_url))
        store.write(A, b"%d" % number, None)
        assert store.read(A) == b"%d" % number
        store.shut_down()


def test_closed_event_loop_causes_no_warning(postgres_url: str) -> None:
    """An event loop that is closed before its store closes the connections, without a warning."""
    store = StoreClient("async", create_backend(postgres_url))
    store.write(A, b"1", None)
    asyncio.run(asyncio.sleep(0))
    assert store._runner
    store._runner.close()
    del store.store


@pytest.mark.bare
def test_fork_with_busy_threads(store: StoreClient) -> None:
    """A forked child touches no connection of its parent, whose threads continue (C21)."""
    stop = threading.Event()
    errors: list[object] = []

    def work() -> None:
        while not stop.is_set():
            found = [store.read(address) for address in KEYS]
            if found != [address.key.encode() for address in KEYS]:
                errors.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    gc.freeze()  # the children's collector would take seconds for other tests' objects
    statuses = [fork_and_exit() for _ in range(20)]
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert statuses == [0] * 20


def fork_and_exit() -> int:
    """Fork a child that runs its finalizers and exits; return its status."""
    child = os.fork()
    if not child:
        gc.collect()
        os._exit(0)
    time.sleep(0.005)
    return os.waitpid(child, 0)[1]
