"""Who lost a compare-and-set waits for those who lost before, and never for ever (C16)."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest

from fibonacci import ConflictError, MemoryConfig, MemoryManager, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci._memory.line import Contest, Line, TaskGate, ThreadGate
from fibonacci._memory.retries import Retried
from fibonacci.plugin import Address, Space, Store
from fibonacci.plugin._run import run
from fibonacci.plugin.storage import Inline
from fibonacci.testing.threads import in_threads

ADDRESS = Address(Space("p:", "workflow", "w"), "k")


class Distant(LocalStore):
    """A store whose answers take their time, so that its callers meet."""

    remote = True

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        found = super().read(address, deadline=deadline)
        self._wait()
        return found

    def compare_and_set(self, *args: Any, **named: Any) -> bool:
        self._wait()
        return super().compare_and_set(*args, **named)

    def _wait(self) -> None:
        self.calls += 1
        time.sleep(0.002)


@pytest.fixture
def store() -> Distant:
    """The store of the test."""
    return Distant()


@pytest.fixture
def memory(store: Distant) -> Iterator[MemoryManager]:
    """A memory over it."""
    with Workflow("w", MemoryConfig(store, timeout=60)) as workflow:
        yield workflow.memory


def test_tasks_stand_in_line(store: Distant, memory: MemoryManager):
    """Tasks that change a record at once make at most two attempts each, of two calls (C16)."""

    async def work() -> None:
        await asyncio.gather(*[memory.aincrement("n") for _ in range(60)])

    asyncio.run(work())
    assert store.calls <= 4 * 60
    assert memory.get("n") == 60


def test_threads_stand_in_line(store: Distant, memory: MemoryManager):
    """Threads do so too, whichever memory of the store they have."""
    with Workflow("w", MemoryConfig(store, timeout=60, default_ttl=60)) as other:
        in_threads([lambda: memory.increment("n"), lambda: other.memory.increment("n")] * 20)
    assert store.calls <= 5 * 40
    assert memory.get("n") == 40


def test_a_record_is_no_obstacle_to_another(store: Distant, memory: MemoryManager):
    """Each record has a line of its own, and leaves nothing behind."""

    async def work() -> None:
        await asyncio.gather(*[memory.aincrement(f"k{number % 2}") for number in range(20)])
        assert not memory._lease.store.line._last  # type: ignore[attr-defined]

    asyncio.run(work())
    assert memory.get_many(["k0", "k1"]) == {"k0": 10, "k1": 10}


def test_who_fails_in_the_line_lets_the_next_one_go(memory: MemoryManager):
    """A function that raises when its turn has come holds nobody up."""
    seen: list[int] = []

    def fail_late(old: int) -> int:
        seen.append(old)
        if len(seen) > 1:
            raise ZeroDivisionError
        memory.increment("n")  # somebody else comes first
        return old

    async def work() -> None:
        bad = asyncio.create_task(memory.aupdate("n", fail_late, 0))
        await asyncio.gather(*[memory.aincrement("n") for _ in range(20)])
        with pytest.raises(ZeroDivisionError):
            await bad

    started = monotonic()
    asyncio.run(work())
    assert memory.get("n") == 21
    assert monotonic() < started + 30


@pytest.fixture(params=[TaskGate, ThreadGate])
def voice(request: pytest.FixtureRequest) -> Any:
    """The gate of each voice."""
    return request.param


def contests(
    voice: Callable[[], Any], *seconds: float
) -> tuple[Retried, list[Contest], Callable[[Any], None]]:
    """Return a store, callers who have so much time, and what runs a coroutine."""
    store = Retried(Inline(LocalStore()), Line(voice))
    now = monotonic()
    runner = run if voice is ThreadGate else asyncio.run
    return store, [Contest(ADDRESS, now + one) for one in seconds], runner


def test_nobody_waits_for_who_is_out_of_time(voice: Any):
    """A caller that never said that it was done is waited for until its deadline, and no longer."""
    store, (gone, here), runner = contests(voice, 0.05, 30)
    waited: list[float] = []

    async def work() -> None:
        await gone.lost(store)
        await here.lost(store)
        waited.append(monotonic())

    runner(work())
    assert gone._deadline <= waited[0] < here._deadline - 20


def test_who_is_out_of_time_in_the_line(voice: Any):
    """A caller whose own deadline comes first is told that others came before it (C16)."""
    store, (before, here), runner = contests(voice, 30, 0.05)

    async def work() -> None:
        await before.lost(store)
        with pytest.raises(ConflictError, match="gave up on 'k' in workflow scope"):
            await here.lost(store)

    runner(work())


def test_who_is_done_is_not_waited_for(voice: Any):
    """A line whose last has left is empty: the next one goes at once."""
    store, (first, second, third), runner = contests(voice, 30, 30, 30)

    async def work() -> None:
        await first.lost(store)
        first.end()
        await second.lost(store)
        second.end()
        await third.lost(store)

    runner(work())
    assert monotonic() < third._deadline - 20


def test_who_is_cancelled_lets_the_next_one_go():
    """A task that is cancelled in the line leaves it."""
    store, (front, cancelled, last), _ = contests(TaskGate, 60, 60, 60)

    async def attempt(contest: Contest) -> None:
        try:
            await contest.lost(store)
        finally:
            contest.end()

    async def work() -> None:
        await front.lost(store)
        middle = asyncio.create_task(attempt(cancelled))
        await asyncio.sleep(0)
        end = asyncio.create_task(attempt(last))
        await asyncio.sleep(0)
        middle.cancel()
        with suppress(asyncio.CancelledError):
            await middle
        await end
        front.end()

    asyncio.run(work())
    assert monotonic() < last._deadline - 30


def test_a_loop_that_is_closed_with_tasks_in_the_line():
    """Tasks that their loop left behind end without a word when they are collected."""
    store, queue, _ = contests(TaskGate, *[60] * 3)

    async def attempt(contest: Contest) -> None:
        try:
            await contest.lost(store)
            await asyncio.Event().wait()
        finally:
            contest.end()

    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(attempt(contest)) for contest in queue]
    loop.set_exception_handler(lambda *_: None)  # it says that tasks were left behind: so they were
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    del tasks
    gc.collect()


def test_a_store_in_the_process_has_no_line():
    """Its answers come at once: callers who lost only pause."""
    store: Store = LocalStore()
    contest = Contest(ADDRESS, monotonic() + 30)
    run(contest.lost(Inline(store)))
    contest.end()
