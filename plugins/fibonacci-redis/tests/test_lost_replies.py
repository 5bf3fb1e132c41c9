"""Lost replies: each request is applied once or not at all, and no reply reaches another caller."""

import asyncio
import random
import signal
import threading
from typing import Any

import pytest
from alarms import Alarm, alarms
from services.proxy import Proxy
from services.standalone import Redis

from fibonacci import MemoryConfig, MemoryManager, StorageError, Workflow
from fibonacci.testing.network import Cut


def memory_at(url: str, name: str, **options: Any) -> MemoryManager:
    config = MemoryConfig(backend="redis", connection_url=url, key_prefix="t:lost:", **options)
    return Workflow(name, config).memory


KEYS = [f"k{number}" for number in range(20)]


@pytest.mark.bare
@pytest.mark.parametrize(
    "calls", [2_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["few", "many"]
)
@pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning",
    "ignore:.*Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)
def test_interrupted_calls_get_their_own_replies(calls: int, valkey_server: Redis) -> None:
    """No reply belongs to another key if a timer raises during calls (C19)."""
    memory = memory_at(valkey_server.url, "interrupted")
    memory.set_many({key: [key] * 30 for key in KEYS})
    done = interrupts = 0
    dice = random.Random(7)

    # A function of its own: in CPython 3.13, what a signal raises at a loop's jump back may
    # pass by the handler of a `try` that the loop stands in.
    def call_until_interrupted() -> None:
        nonlocal done
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0002, 0.005))
        while done < calls:
            key = KEYS[done % len(KEYS)]
            if done % 3 == 2:
                memory.set(key, [key] * 30)
            else:
                assert memory.get(key) == [key] * 30
            done += 1
        signal.setitimer(signal.ITIMER_REAL, 0)  # in this function: it may fire until then

    with alarms():
        while done < calls:
            try:
                call_until_interrupted()
            except Alarm:
                interrupts += 1
    assert interrupts > calls / 1000
    memory.clear()


@pytest.mark.parametrize(
    "rounds", [40, pytest.param(2_000, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_cancelled_calls_leave_others_their_replies(rounds: int, valkey_server: Redis) -> None:
    """Callers get their own replies while others are cancelled at any moment (C19)."""
    memory = memory_at(valkey_server.url, "cancelled")
    dice = random.Random(9)

    async def work(key: str) -> None:
        while True:
            assert await memory.aget(key) == [key] * 30
            await memory.aset(key, [key] * 30)

    async def cancel_some() -> None:
        tasks = [asyncio.create_task(work(key)) for key in KEYS]
        for _ in range(5):
            await asyncio.sleep(dice.uniform(0, 0.002))
            dice.choice(tasks).cancel()
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended

    async def all_rounds() -> None:
        await memory.aset_many({key: [key] * 30 for key in KEYS})
        for _ in range(rounds):
            await cancel_some()
        assert await memory.aget_many(KEYS) == {key: [key] * 30 for key in KEYS}
        await memory.aclear()

    asyncio.run(all_rounds())


def test_broken_connections_mix_up_no_replies(valkey_proxy: Proxy, valkey_server: Redis) -> None:
    """Connections that break under many callers mix up no replies (C19)."""
    memory = memory_at(valkey_proxy.url, "mixed")
    memory.set_many({key: [key] * 30 for key in KEYS})
    dice, enough = random.Random(11), threading.Event()

    def break_connections() -> None:
        while not enough.wait(0.01):
            valkey_proxy.begin(Cut(replies=dice.randrange(2_000), times=2))

    async def work(key: str) -> None:
        for _ in range(50):
            try:
                assert await memory.aget(key) in ([key] * 30, [key])
                await memory.aset(key, [key])
            except StorageError:
                pass

    async def all_work() -> None:
        await asyncio.gather(*map(work, KEYS))

    def run_in_loop(key: str) -> None:
        asyncio.run(work(key))

    breaker = threading.Thread(target=break_connections)
    others = [threading.Thread(target=run_in_loop, args=(key,)) for key in KEYS[:3]]
    for thread in (breaker, *others):
        thread.start()
    try:
        asyncio.run(all_work())
    finally:
        enough.set()
        for thread in (breaker, *others):
            thread.join()
    valkey_proxy.heal()
    memory_at(valkey_server.url, "mixed").clear()
