"""Answers that are lost: applied once or not at all, and told so; never somebody else's."""

import asyncio
import random
import signal
import threading
from typing import Any

import pytest
from alarms import Alarm, alarms
from services.faults import Cut, lost_reply
from services.proxy import Proxy
from services.standalone import Redis

from fibonacci import MemoryConfig, MemoryManager, OutcomeUnknownError, StorageError, Workflow


def memory_at(url: str, name: str, **options: Any) -> MemoryManager:
    config = MemoryConfig(backend="redis", connection_url=url, key_prefix="t:lost:", **options)
    return Workflow(name, config).memory


@pytest.mark.parametrize(
    "lost",
    [lost_reply(after=b"EVALSHA", times=1), Cut(replies=3, after=b"EVALSHA", times=1)],
    ids=["all", "half"],
)
@pytest.mark.parametrize("count", [200, pytest.param(1_000, marks=pytest.mark.long)])
def test_increments(lost: Cut, count: int, valkey_proxy: Proxy, valkey_server: Redis) -> None:
    """Of many increments with lost answers, each is applied once or not at all (C16)."""
    counter = memory_at(valkey_proxy.url, "counter")
    watcher = memory_at(valkey_server.url, "counter")
    watcher.delete("n")
    known = unknown = 0
    dice = random.Random(5)
    for _ in range(count):
        if dice.random() < 0.2:
            valkey_proxy.begin(lost)
        try:
            counter.increment("n")
            known += 1
        except OutcomeUnknownError:
            unknown += 1
    valkey_proxy.heal()
    assert unknown > count / 10
    assert known <= watcher.get("n") <= known + unknown
    watcher.clear()


@pytest.mark.parametrize("verb", ["set", "get"])
def test_harmless_repeats(verb: str, valkey_proxy: Proxy) -> None:
    """A set or a get whose answer was lost is asked again, and nobody notices (C20)."""
    memory = memory_at(valkey_proxy.url, "again")
    memory.set("k", 0)
    for number in range(20):
        valkey_proxy.begin(lost_reply(times=1))
        if verb == "set":
            assert memory.set("k", number)
        else:
            assert memory.get("k") == 0
    valkey_proxy.heal()
    memory.clear()


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
def test_interrupted(calls: int, valkey_server: Redis) -> None:
    """Under a timer that raises in mid-command, no answer belongs to another key (C19)."""
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
        signal.setitimer(signal.ITIMER_REAL, 0)  # in here: it may strike until then

    with alarms():
        while done < calls:
            try:
                call_until_interrupted()
            except Alarm:
                interrupts += 1
    assert interrupts > calls / 1000
    memory.clear()


@pytest.mark.parametrize(
    "turns", [40, pytest.param(2_000, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_cancelled(turns: int, valkey_server: Redis) -> None:
    """Of callers that are cancelled at any moment, the others get their own answers (C19)."""
    memory = memory_at(valkey_server.url, "cancelled")
    dice = random.Random(9)

    async def work(key: str) -> None:
        while True:
            assert await memory.aget(key) == [key] * 30
            await memory.aset(key, [key] * 30)

    async def turn() -> None:
        tasks = [asyncio.create_task(work(key)) for key in KEYS]
        for _ in range(5):
            await asyncio.sleep(dice.uniform(0, 0.002))
            dice.choice(tasks).cancel()
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended

    async def all_turns() -> None:
        await memory.aset_many({key: [key] * 30 for key in KEYS})
        for _ in range(turns):
            await turn()
        assert await memory.aget_many(KEYS) == {key: [key] * 30 for key in KEYS}
        await memory.aclear()

    asyncio.run(all_turns())


def test_cut_while_many_ask(valkey_proxy: Proxy, valkey_server: Redis) -> None:
    """Connections that break under many callers mix up no answers, in either mode (C19)."""
    memory = memory_at(valkey_proxy.url, "mixed")
    memory.set_many({key: [key] * 30 for key in KEYS})
    dice, enough = random.Random(11), threading.Event()

    def strike() -> None:
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

    def plain(key: str) -> None:
        asyncio.run(work(key))

    striker = threading.Thread(target=strike)
    others = [threading.Thread(target=plain, args=(key,)) for key in KEYS[:3]]
    for thread in (striker, *others):
        thread.start()
    try:
        asyncio.run(all_work())
    finally:
        enough.set()
        for thread in (striker, *others):
            thread.join()
    valkey_proxy.heal()
    memory_at(valkey_server.url, "mixed").clear()
