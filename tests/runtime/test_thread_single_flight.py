"""Blocking work runs in a thread, once for all callers, each with its deadline."""

import asyncio
import os
import threading
import time

import pytest
from services.waiting import wait_until

from fibonacci.plugin._run import run_sync
from fibonacci.plugin.runtime import DeadlineExceeded, TaskWaiter, ThreadSingleFlight, ThreadWaiter
from fibonacci.testing.threads import run_concurrently


def soon(seconds=5.0):
    return time.monotonic() + seconds


class Work:
    """Work that hangs until it is released, and counts its starts."""

    def __init__(self):
        self.begun = 0
        self.go = threading.Event()

    def __call__(self):
        self.begun += 1
        self.go.wait(5)
        return self.begun


@pytest.fixture
def work():
    work = Work()
    yield work
    work.go.set()


def test_concurrent_callers_share_the_work(work):
    """Concurrent threads share one execution, and so does a task that joins them."""
    flight = ThreadSingleFlight(work, max_join_age=60)
    found = []

    async def task():
        return await flight.wait(TaskWaiter, soon())

    def begun():
        while not work.begun:
            time.sleep(0.001)
        threading.Timer(0.05, work.go.set).start()
        found.append(asyncio.run(task()))

    run_concurrently([lambda: found.append(flight.do(deadline=soon()))] * 20, begun)
    assert found == [1] * 21


def test_abandoned_work_is_joined_again(work):
    """Work goes on after its caller's deadline, and the next caller gets its result."""
    flight = ThreadSingleFlight(work, max_join_age=60)
    flight.start()
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            flight.do(deadline=soon(0.01))
    work.go.set()
    assert flight.do(deadline=soon()) == 1


def test_stalled_work_is_started_again(work):
    """Work that hangs for too long, or is done, is not joined: the next caller starts it again."""
    flight = ThreadSingleFlight(work, max_join_age=0.0)
    for number in (1, 2):
        with pytest.raises(DeadlineExceeded):
            flight.do(deadline=soon(0.01))
        wait_until(lambda number=number: work.begun == number, 60)
    work.go.set()
    assert flight.do(deadline=soon()) == 3


def test_each_caller_has_its_own_error():
    """Each caller gets its own exception, with the one of the work as its cause."""

    def fail():
        raise OSError(5, "it failed")

    flight = ThreadSingleFlight(fail, max_join_age=60)
    caught = []
    for _ in range(2):
        with pytest.raises(OSError, match="it failed") as raised:
            flight.do(deadline=soon())
        caught.append(raised.value)
    assert caught[0] is not caught[1]
    assert isinstance(caught[0].__cause__, OSError)


def test_no_thread_can_be_started(monkeypatch):
    """While Python shuts down, the work is done in the caller's thread."""

    def refuse(_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr("fibonacci.plugin._runtime.threads._workers._idle", [])
    flight = ThreadSingleFlight(threading.get_ident, max_join_age=60)
    assert flight.do(deadline=soon()) == threading.get_ident()


def test_interrupted_at_the_start(monkeypatch):
    """A first caller that is interrupted before the work starts leaves it to the next one."""

    def interrupted(_):
        raise KeyboardInterrupt

    flight = ThreadSingleFlight(threading.get_ident, max_join_age=60)
    with monkeypatch.context() as patch:
        patch.setattr("fibonacci.plugin._runtime.single_flight.submit_to_thread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            flight.start()
    assert flight.do(deadline=soon()) != threading.get_ident()


def test_late_caller_is_woken():
    """A caller that joins in the moment in which the work ends is woken."""
    flight = ThreadSingleFlight(lambda: "done", max_join_age=60)

    flight.start()
    ended = flight._running[os.getpid()]
    while not ended.done:
        time.sleep(0.001)
    waiter = ThreadWaiter()
    ended.join(waiter)
    ended._run()  # a second start does nothing
    run_sync(waiter.wait(soon()))
    assert ended.result() == "done"
