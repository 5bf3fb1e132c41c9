"""Signal handlers that raise during a call: the exception gets out, nothing is applied twice."""

import asyncio
import random
import signal
import time
from collections import Counter
from typing import Any

import pytest
from services.standalone import Redis

from fibonacci import (
    BackendUnavailableError,
    MemoryConfig,
    OutcomeUnknownError,
    StorageError,
    Workflow,
)
from fibonacci.plugin import ABSENT, Address, Space, StoreSettings, StoreURL
from fibonacci_redis import fibonacci_storage

CALLS = 300
SPACE = Space("t:signals:", "workflow", "w")


class SoftTimeLimit(Exception):  # noqa: N818 - as job queues call theirs
    """Raised by a job queue in its jobs."""


@pytest.mark.bare
@pytest.mark.parametrize("kind", [SoftTimeLimit, TimeoutError, InterruptedError])
@pytest.mark.parametrize("size", [1, pytest.param(3_000, marks=pytest.mark.long)])
@pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:.*Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)
def test_exception_during_append_gets_out(
    kind: type[Exception], size: int, valkey_server: Redis
) -> None:
    """A handler's exception gets out of append(), which adds the item at most once (C19)."""
    config = MemoryConfig("redis", valkey_server.url, key_prefix="t:signals:")
    memory = Workflow("w", config).memory
    dice, raised_count, caught_count = random.Random(1), 0, 0

    def raise_exception(*_: object) -> None:
        nonlocal raised_count
        raised_count += 1
        raise kind("the job's time is over")

    def append(number: int) -> None:
        nonlocal caught_count
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.05, 1.05) * typical)
                memory.append("log", [number, "x" * size], max_items=5)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except kind as error:
            caught_count += str(error) == "the job's time is over"

    typical = _typical_duration(memory)
    before = signal.signal(signal.SIGALRM, raise_exception)
    try:
        for number in range(CALLS):
            append(number)
            log: Any = memory.get("log")
            assert max(Counter(item[0] for item in log).values()) == 1, number
    finally:
        signal.signal(signal.SIGALRM, before)
        memory.clear()
    assert caught_count > CALLS / 10
    # Python drops an exception that is raised in a finalizer, of a connection for example.
    assert raised_count - caught_count < CALLS / 20


def _typical_duration(memory: Any) -> float:
    """Return the seconds that an append takes here."""
    took = []
    for number in range(30):
        start = time.perf_counter()
        memory.append("log", [-1 - number, ""], max_items=5)
        took.append(time.perf_counter() - start)
    return sorted(took)[15]


@pytest.mark.parametrize(("signals", "out"), [(True, SoftTimeLimit), (False, StorageError)])
def test_exception_during_connecting_gets_out(
    signals: bool, out: type[Exception], monkeypatch: pytest.MonkeyPatch, valkey_server: Redis
) -> None:
    """A handler's exception while connecting gets out, whatever redis-py raises then."""

    def driver(**_: Any) -> Any:
        try:
            if signals:
                signal.raise_signal(signal.SIGALRM)
        finally:
            raise NameError  # as old versions do by mistake

    def raise_exception(*_: object) -> None:
        raise SoftTimeLimit

    monkeypatch.setattr("fibonacci_redis.endpoint.TcpConnection", driver)
    before = signal.signal(signal.SIGALRM, raise_exception)
    try:
        with pytest.raises(out):
            Workflow("w", MemoryConfig("redis", valkey_server.url)).memory.set("k", 1)
    finally:
        signal.signal(signal.SIGALRM, before)


class SocketWithSignal:
    """A socket whose method raises like a signal handler, after ``skip`` successful calls."""

    def __init__(self, real: Any, method: str, skip: int) -> None:
        self._real, self._method, self._skip = real, method, skip

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._real, name)
        return self._call

    def _call(self, data: Any) -> Any:
        result = getattr(self._real, self._method)(data)
        self._skip -= 1
        if self._skip < 0:
            raise SoftTimeLimit
        return result


@pytest.mark.parametrize(("method", "skip"), [("send", 0), ("send", 1), ("recv", 0)])
def test_exception_in_the_loop_closes_the_connection(
    method: str, skip: int, valkey_server: Redis
) -> None:
    """A handler's exception closes the shared connection; a pending write's outcome is unknown."""
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
        shared._socket = SocketWithSignal(shared._socket, method, skip)
        results = await asyncio.gather(*[add(number) for number in (1, 2)], return_exceptions=True)
        # The second may be unavailable: it may not have been sent.
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
