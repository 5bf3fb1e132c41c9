"""Callers that wait for a scarce resource are served in order."""

import asyncio
import random
import threading
import weakref
from contextlib import suppress
from time import monotonic, sleep

import pytest

from fibonacci.plugin._run import run_sync
from fibonacci.plugin.runtime import DeadlineExceeded, TaskWaiter, ThreadWaiter, Waiter, WaitQueue

from alarms import Alarm  # isort: skip
import signal  # isort: skip


class Tools:
    """A few tools for many callers."""

    def __init__(self, count: int, waiter: type[Waiter]) -> None:
        self.free = list(range(count))
        self.queue = WaitQueue(self.take, waiter)

    def take(self):
        try:
            return self.free.pop()
        except IndexError:
            return None

    def give(self, tool):
        self.free.append(tool)
        self.queue.wake_first()


def soon(seconds: float = 60):
    return monotonic() + seconds


def test_releasing_caller_queues_behind_the_waiters():
    """Tasks that take a tool again and again are all served, equally often."""

    async def work():
        tools, counts = Tools(2, TaskWaiter), [0] * 20

        async def use(index):
            for _ in range(50):
                tool = await tools.queue.acquire(soon())
                counts[index] += 1
                spread.append(max(counts) - min(counts))
                await asyncio.sleep(0)
                tools.give(tool)

        await asyncio.gather(*[use(index) for index in range(20)])
        assert len(tools.free) == 2
        assert not tools.queue

    spread = []
    asyncio.run(work())
    assert max(spread) <= 2


def test_threads_are_served_in_order():
    """Waiting threads are served first come, first served; one that gives up lets others pass."""
    tools, served = Tools(1, ThreadWaiter), []
    tool = run_sync(tools.queue.acquire(soon()))

    def use(name, seconds):
        try:
            taken = run_sync(tools.queue.acquire(soon(seconds)))
        except DeadlineExceeded:
            served.append(f"{name} was late")
        else:
            served.append(name)
            tools.give(taken)

    threads = []
    for length, (name, seconds) in enumerate([("a", 1), ("b", 60), ("c", 60)], 1):
        threads.append(threading.Thread(target=use, args=(name, seconds)))
        threads[-1].start()
        while len(tools.queue._tickets) < length:
            sleep(0.001)
    while not served:
        sleep(0.001)
    tools.give(tool)
    for thread in threads:
        thread.join(60)
    assert served == ["a was late", "b", "c"]


def test_cancelled_caller_passes_its_turn_on():
    """A task that is cancelled in the moment it is woken leaves the tool to the next."""

    async def work():
        tools = Tools(1, TaskWaiter)
        tool = await tools.queue.acquire(soon())
        first, second = (asyncio.ensure_future(tools.queue.acquire(soon())) for _ in range(2))
        await asyncio.sleep(0)
        tools.give(tool)
        first.cancel()
        assert await second == tool
        assert first.cancelled()

    asyncio.run(work())


@pytest.mark.bare  # as others cover it with fewer
def test_ten_thousand_callers():
    """Ten thousand concurrent callers are served, each checked a few times."""
    looks = 0

    async def work():
        tools = Tools(10, TaskWaiter)
        take = tools.take

        def counted():
            nonlocal looks
            looks += 1
            return take()

        tools.queue._try_acquire = counted

        async def use():
            tool = await tools.queue.acquire(soon())
            await asyncio.sleep(0)
            tools.give(tool)

        await asyncio.gather(*[use() for _ in range(10_000)])

    asyncio.run(work())
    assert 10_000 <= looks < 40_000


class Loan:
    """A loan, which is free again as soon as it is garbage."""


class Loans:
    """Two loans, counted by those that are alive."""

    def __init__(self):
        self.loans = []
        self.queue = WaitQueue(self.take, ThreadWaiter)

    def take(self):
        self.loans = [one for one in self.loans if one() is not None]
        if len(self.loans) >= 2:
            return None
        loan = Loan()
        self.loans.append(weakref.ref(loan, self.dropped))
        return loan

    def dropped(self, _):
        try:
            self.queue.wake_first()
        except Alarm:  # Python would drop it
            self.queue.wake_first()


@pytest.mark.bare
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_threads_and_signals():
    """No caller hangs when threads race and a signal handler raises at any step."""
    tools, ended = Loans(), threading.Event()

    def use():
        while not ended.is_set():
            run_sync(tools.queue.acquire(soon()))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    dice, struck = random.Random(1), []

    def ring(*_):
        struck.append(1)
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    for _ in range(300):
        struck.clear()
        with suppress(Alarm):
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-5, 1e-3))
            wait_until(struck, tools)
    signal.signal(signal.SIGALRM, before)
    ended.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not tools.queue


def wait_until(struck, tools):
    """Wait for tools until an alarm has struck; Python may have dropped it."""
    while not struck:
        run_sync(tools.queue.acquire(soon()))


def test_a_caller_during_its_own_wait():
    """A caller that waits again during its own wait, as signal handlers do, is served first."""
    tools = Tools(0, TaskWaiter)

    async def work():
        other = asyncio.create_task(tools.queue.acquire(soon()))
        await asyncio.sleep(0)
        outer = tools.queue.acquire(soon())
        outer.send(None)  # it waits
        tools.give("first")
        assert await tools.queue.acquire(soon()) == "first"
        outer.close()
        tools.give("second")
        assert await other == "second"

    asyncio.run(work())
    assert not tools.queue


def test_another_thread_changes_the_queue():
    """The search for the first caller starts again if the queue changed meanwhile."""
    looks = []

    class Changing(dict):
        def values(self):
            looks.append(1)
            if len(looks) == 1:
                raise RuntimeError("mutated during iteration")
            return super().values()

    tools = Tools(1, ThreadWaiter)
    vars(tools.queue)["_tickets"] = Changing()
    tools.queue.wake_first()
    assert looks == [1, 1]
