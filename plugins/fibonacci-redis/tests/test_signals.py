"""A signal handler that raises amid a call: its exception comes out, and nothing is done twice."""

import asyncio
import random
import signal
import time
from collections import Counter
from typing import Any

import pytest
from services.standalone import Redis

from fibonacci import BackendUnavailableError, MemoryConfig, OutcomeUnknownError, Workflow
from fibonacci.plugin import ABSENT, Address, Space, StoreSettings, StoreURL
from fibonacci_redis import fibonacci_storage

CALLS = 300
SPACE = Space("t:signals:", "workflow", "w")


class SoftTimeLimit(Exception):  # noqa: N818 - as job queues call theirs
    """What a job queue raises in its jobs."""


@pytest.mark.bare
@pytest.mark.parametrize("kind", [SoftTimeLimit, TimeoutError, InterruptedError])
@pytest.mark.parametrize("size", [1, pytest.param(3_000, marks=pytest.mark.long)])
@pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:.*Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)
def test_raised_amid_append(kind: type[Exception], size: int, valkey_server: Redis) -> None:
    """What a handler raises comes out as it is, and an item is appended once at most (C19)."""
    config = MemoryConfig("redis", valkey_server.url, key_prefix="t:signals:")
    memory = Workflow("w", config).memory
    dice, rang, seen = random.Random(1), 0, 0

    def ring(*_: object) -> None:
        nonlocal rang
        rang += 1
        raise kind("the job's time is over")

    def append(number: int) -> None:
        nonlocal seen
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.05, 1.05) * typical)
                memory.append("log", [number, "x" * size], max_items=5)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except kind as fault:
            seen += str(fault) == "the job's time is over"

    typical = _typical(memory)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for number in range(CALLS):
            append(number)
            log: Any = memory.get("log")
            assert max(Counter(item[0] for item in log).values()) == 1, number
    finally:
        signal.signal(signal.SIGALRM, before)
        memory.clear()
    assert seen > CALLS / 10
    # Python drops what is raised while it lets an object go; a connection, say.
    assert rang - seen < CALLS / 20


def _typical(memory: Any) -> float:
    """Seconds that an append takes here."""
    took = []
    for number in range(30):
        start = time.perf_counter()
        memory.append("log", [-1 - number, ""], max_items=5)
        took.append(time.perf_counter() - start)
    return sorted(took)[15]


@pytest.mark.parametrize(("strikes", "out"), [(True, SoftTimeLimit), (False, NameError)])
def test_raised_amid_the_making(
    strikes: bool, out: type[Exception], monkeypatch: pytest.MonkeyPatch, valkey_server: Redis
) -> None:
    """What strikes while a connection is made comes out, whatever the driver raises then."""

    def driver(**_: Any) -> Any:
        try:
            if strikes:
                signal.raise_signal(signal.SIGALRM)
        finally:
            raise NameError  # as old versions do by mistake

    def ring(*_: object) -> None:
        raise SoftTimeLimit

    monkeypatch.setattr("fibonacci_redis.endpoint.TcpConnection", driver)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(out):
            Workflow("w", MemoryConfig("redis", valkey_server.url)).memory.set("k", 1)
    finally:
        signal.signal(signal.SIGALRM, before)


class Struck:
    """A socket in whose use a signal strikes, ``skip`` times later: after it did what it should."""

    def __init__(self, real: Any, method: str, skip: int) -> None:
        self._real, self._method, self._skip = real, method, skip

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._real, name)
        return self._used

    def _used(self, data: Any) -> Any:
        done = getattr(self._real, self._method)(data)
        self._skip -= 1
        if self._skip < 0:
            raise SoftTimeLimit
        return done


@pytest.mark.parametrize(("method", "skip"), [("send", 0), ("send", 1), ("recv", 0)])
def test_raised_amid_the_loop(method: str, skip: int, valkey_server: Redis) -> None:
    """What strikes on a shared connection closes it; who waits there is told of no outcome."""
    store: Any = fibonacci_storage(
        StoreSettings(url=StoreURL.parse(valkey_server.url))
    ).create_async_store()
    raised: list[Any] = []

    async def add(number: int) -> bool:
        key = Address(SPACE, f"k{number}")
        return await store.compare_and_set(key, ABSENT, b"1", None, deadline=time.monotonic() + 5)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
        await add(0)
        shared = store._topology._node._shared
        shared._socket = Struck(shared._socket, method, skip)
        results = await asyncio.gather(*[add(number) for number in (1, 2)], return_exceptions=True)
        # The second may be unavailable: it was still to be sent.
        kinds = [type(result) for result in results]
        assert kinds[0] is not BackendUnavailableError
        known = {SoftTimeLimit, OutcomeUnknownError, BackendUnavailableError, bool}
        assert set(kinds) <= known
        assert SoftTimeLimit in [type(result) for result in (*results, *raised)]
        assert OutcomeUnknownError in map(type, results) or results.count(True) == 1
        assert await add(3) is True
        await store.clear(SPACE, deadline=time.monotonic() + 5)
        await store.close()

    asyncio.run(main())
