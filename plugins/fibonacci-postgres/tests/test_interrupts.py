"""Calls that are broken off: the connection goes, and no answer reaches another caller (C19)."""

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
from services.faults import BlackHole
from services.proxy import Proxy

from fibonacci import MemoryConfig, Workflow
from fibonacci.plugin import Address

from .stores import SPACE, A, StoreClient, create_backend

PLENTY = 20.0
"""Seconds that no call needs."""
KEYS = [Address(SPACE, f"k{number}") for number in range(10)]


@pytest.fixture
def store(postgres_url: str) -> Iterator[StoreClient]:
    """A store in sync code, where each key holds its own name."""
    store = StoreClient("sync", create_backend(postgres_url, timeout=PLENTY))
    store.write_many([(one, one.key.encode()) for one in KEYS], None)
    yield store
    store.shut_down()


@pytest.fixture(name="alarms")
def ringing() -> Iterator[None]:
    """SIGALRM raises while the test runs."""
    with alarms():
        yield


@pytest.mark.bare
@pytest.mark.parametrize("rounds", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_timer_signals(store: StoreClient, alarms: None, rounds: int) -> None:
    """A signal handler that raises amid a call spoils no later answer."""
    dice = random.Random(1)
    struck = 0
    for _ in range(rounds):
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.003))
            while True:  # (with a condition, CPython 3.13 might not let this `try` catch)
                for one in KEYS:
                    assert store.read(one) == one.key.encode()
                    store.write(one, one.key.encode(), None)
        except Alarm:
            struck += 1
    assert struck == rounds
    assert store.read_many(KEYS) == [one.key.encode() for one in KEYS]


@pytest.mark.bare
def test_signal_while_waiting(store: StoreClient, alarms: None, postgres_url: str) -> None:
    """A signal handler runs at once, also while the server does not answer."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        start = time.monotonic()
        with pytest.raises(Alarm):
            store.read(A)
        assert time.monotonic() - start < PLENTY / 2
    assert store.read(KEYS[0]) == b"k0"


@pytest.mark.bare
def test_signal_while_connecting(alarms: None, postgres_proxy: Proxy) -> None:
    """So it does while a connection is made; its place is free for the next."""
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
def test_handler_that_uses_the_store(store: StoreClient) -> None:
    """A signal handler may use the store that it interrupts."""
    seen: list[bytes | None] = []

    def ask(*_: object) -> None:
        seen.append(store.read(KEYS[1]))

    before = signal.signal(signal.SIGALRM, ask)
    try:
        for number in range(200):
            signal.setitimer(signal.ITIMER_REAL, 0.00001 + number * 1e-6)
            while len(seen) <= number:
                assert store.read(KEYS[0]) == b"k0"
    finally:
        signal.signal(signal.SIGALRM, before)
    assert set(seen) == {b"k1"}


class SoftTimeLimit(Exception):  # noqa: N818 - as Celery names it
    """As task queues have one."""


@pytest.mark.bare
@pytest.mark.parametrize("kind", [SoftTimeLimit, TimeoutError])
@pytest.mark.parametrize("rounds", [50, pytest.param(600, marks=pytest.mark.long)])
def test_handlers_own_exception(postgres_url: str, kind: type[Exception], rounds: int) -> None:
    """What a signal handler raises comes out as it is, and a change is applied once at most."""
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
def test_handler_amid_a_wait_for_a_connection(postgres_url: str) -> None:
    """A handler may use the store also while its thread waits for a connection."""
    store = StoreClient("sync", create_backend(postgres_url, timeout=PLENTY, max_connections=1))
    store.write(A, b"1", None)
    seen: list[bytes | None] = []
    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        other = threading.Thread(target=store.read, args=(A,))
        other.start()
        time.sleep(0.05)

        def ask(*_: object) -> None:
            threading.Timer(0.05, connection.rollback).start()
            seen.append(store.read(A))

        before = signal.signal(signal.SIGALRM, ask)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            seen.append(store.read(A))
        finally:
            signal.signal(signal.SIGALRM, before)
    other.join()
    assert seen == [b"1", b"1"]
    store.shut_down()


@pytest.mark.parametrize("rounds", [60, pytest.param(600, marks=pytest.mark.long)])
def test_cancelled(postgres_url: str, rounds: int) -> None:
    """A task that is cancelled ends at once, and spoils no later answer."""
    store = StoreClient("async", create_backend(postgres_url))
    dice = random.Random(1)

    async def work(one: Address) -> None:
        while True:
            found = await store.store.read(one, deadline=time.monotonic() + PLENTY)
            assert found == one.key.encode()
            await store.store.write(one, one.key.encode(), None, deadline=time.monotonic() + PLENTY)

    async def cancel_some() -> None:
        tasks = [asyncio.create_task(work(one)) for one in KEYS]
        await asyncio.sleep(dice.uniform(0, 0.02))
        for task in tasks:
            task.cancel()
        start = time.monotonic()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - start < PLENTY / 2
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended

    store.write_many([(one, one.key.encode()) for one in KEYS], None)
    for _ in range(rounds):
        store.run(cancel_some())
    assert store.read_many(KEYS) == [one.key.encode() for one in KEYS]
    store.shut_down()


def test_cancelled_while_the_server_is_silent(postgres_url: str) -> None:
    """A cancelled task asks nobody for leave: it ends while the server does not answer."""
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


def test_loops_in_a_row(postgres_url: str) -> None:
    """Each event loop has a store of its own, and loops may follow each other (C21)."""
    for number in range(5):
        store = StoreClient("async", create_backend(postgres_url))
        store.write(A, b"%d" % number, None)
        assert store.read(A) == b"%d" % number
        store.shut_down()


def test_loop_closed_in_use(postgres_url: str) -> None:
    """A loop that is closed without a word takes its connections along, without a warning."""
    store = StoreClient("async", create_backend(postgres_url))
    store.write(A, b"1", None)
    asyncio.run(asyncio.sleep(0))
    assert store._runner
    store._runner.close()
    del store.store


@pytest.mark.bare
def test_fork_among_busy_threads(store: StoreClient) -> None:
    """A forked child touches no connection of its parent, whose threads go on (C21)."""
    enough = threading.Event()
    wrong: list[object] = []

    def work() -> None:
        while not enough.is_set():
            found = [store.read(one) for one in KEYS]
            if found != [one.key.encode() for one in KEYS]:
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    gc.freeze()  # what other tests left is not for the children to look at: that takes seconds
    statuses = [fork_and_leave() for _ in range(20)]
    enough.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert statuses == [0] * 20


def fork_and_leave() -> int:
    """Fork a child that ends in good order, finalizers included; return its status."""
    child = os.fork()
    if not child:
        gc.collect()
        os._exit(0)
    time.sleep(0.005)
    return os.waitpid(child, 0)[1]
