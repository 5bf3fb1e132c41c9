"""Waiters for one event, in a thread and in a task."""

import asyncio
import threading
from math import inf
from time import monotonic

import pytest

from fibonacci.plugin._run import run_sync
from fibonacci.plugin.runtime import TaskWaiter, ThreadWaiter


def test_a_woken_thread_stays_woken():
    """A waiter that was woken, once or twice, lets its thread pass however often it waits."""
    waiter = ThreadWaiter()
    start = monotonic()
    run_sync(waiter.wait(monotonic() + 0.02))
    assert monotonic() >= start + 0.02
    threading.Timer(0.02, waiter.wake).start()
    run_sync(waiter.wait(inf))
    waiter.wake()
    run_sync(waiter.wait(inf))
    run_sync(waiter.wait(monotonic() + 60))
    assert monotonic() < start + 30


@pytest.mark.parametrize("ahead", [False, True], ids=["later", "before"])
def test_a_task_is_woken_from_any_thread(ahead):
    """A task wakes when another thread wakes it, before it waits or while it does."""

    async def wait():
        waiter = TaskWaiter()
        if ahead:
            await asyncio.to_thread(waiter.wake)
        else:
            threading.Timer(0.02, waiter.wake).start()
        await waiter.wait(monotonic() + 60)
        waiter.wake()
        await waiter.wait(inf)

    start = monotonic()
    asyncio.run(wait())
    assert monotonic() < start + 30


def test_a_task_stops_waiting_at_its_deadline():
    """A wait ends at its deadline or when its task is cancelled, and a later wake does nothing."""

    async def wait():
        waiter = TaskWaiter()
        start = monotonic()
        await waiter.wait(start + 0.02)
        assert monotonic() >= start + 0.015
        waiting = asyncio.ensure_future(waiter.wait(inf))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        twice = [asyncio.ensure_future(waiter.wait(inf)) for _ in range(2)]
        await asyncio.sleep(0)
        waiter.wake()
        waiter.wake()
        await asyncio.gather(*twice)
        return waiter

    waiter = asyncio.run(wait())
    waiter.wake()  # its loop is closed
    threading.Thread(target=waiter.wake).start()


def test_the_owner_is_the_thread_or_the_task():
    """A waiter knows its owner: a thread or a task."""
    assert ThreadWaiter().owner == ThreadWaiter.caller() == threading.get_ident()

    async def owners():
        async def owner():
            return TaskWaiter().owner, TaskWaiter.caller()

        first, second = await asyncio.gather(owner(), owner())
        assert first[0] == first[1] != second[0] == second[1]

    asyncio.run(owners())
