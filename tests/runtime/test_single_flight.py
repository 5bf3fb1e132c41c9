"""Concurrent callers share one execution of the same work."""

import asyncio
import threading
from time import monotonic

import pytest

from fibonacci import BackendUnavailableError, ModelError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.single_flight import _Flight, _Leader
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, TaskWaiter, ThreadWaiter


def soon(seconds: float = 60):
    return monotonic() + seconds


def test_tasks_share_one_result():
    """Two hundred tasks share one execution; a later caller starts another."""
    done = []

    async def work():
        await asyncio.sleep(0.01)
        done.append(1)
        return len(done)

    async def all_want():
        flight = SingleFlight(TaskWaiter)
        many = [flight.do(work, deadline=soon()) for _ in range(200)]
        assert set(await asyncio.gather(*many)) == {1}
        assert await flight.do(work, deadline=soon()) == 2

    asyncio.run(all_want())


def test_threads_share_one_result():
    """Threads that join during the work share its result, None too."""
    flight, started, go, done = SingleFlight(ThreadWaiter), threading.Event(), threading.Event(), []

    async def work():
        started.set()
        go.wait(60)
        done.append(1)

    found = []

    def want():
        found.append(run_sync(flight.do(work, deadline=soon())))

    threads = [threading.Thread(target=want) for _ in range(5)]
    for thread in threads:
        thread.start()
    started.wait(60)
    with pytest.raises(DeadlineExceeded):
        run_sync(flight.do(work, deadline=soon(0.01)))
    while len(flight._flights[ThreadWaiter.domain()]._waiters) < 5:
        pass
    go.set()
    for thread in threads:
        thread.join(60)
    assert found == [None] * 5
    assert done == [1]


def test_an_error_is_shared():
    """A FibonacciError is raised in all waiting callers, each with its own copy."""

    async def work():
        await asyncio.sleep(0)
        raise BackendUnavailableError("nobody there")

    async def all_want():
        flight = SingleFlight(TaskWaiter)
        many = [flight.do(work, deadline=soon()) for _ in range(3)]
        return await asyncio.gather(*many, return_exceptions=True)

    errors = asyncio.run(all_want())
    assert [str(one) for one in errors] == ["nobody there"] * 3
    assert len({id(one) for one in errors}) == 3


@pytest.mark.parametrize("end", ["cancelled", "late"])
def test_cancellation_of_the_first_caller_is_its_own(end):
    """If the first caller is cancelled or times out, another one does the work."""
    began = []

    async def all_want():
        flight, slow = SingleFlight(TaskWaiter), asyncio.Event()

        async def work():
            began.append(1)
            if len(began) == 1:
                if end == "late":
                    await asyncio.sleep(0.02)
                    raise BackendUnavailableError("the time was up")
                await slow.wait()
            await asyncio.sleep(0)
            return "done"

        first = asyncio.ensure_future(flight.do(work, deadline=soon(0.01)))
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(flight.do(work, deadline=soon())) for _ in range(3)]
        await asyncio.sleep(0)
        if end == "cancelled":
            first.cancel()
        await asyncio.wait([first])
        assert end == "cancelled" or isinstance(first.exception(), BackendUnavailableError)
        return await asyncio.gather(*others)

    assert asyncio.run(all_want()) == ["done"] * 3
    assert began == [1, 1]


@pytest.mark.parametrize("joined", [False, True], ids=["before", "meanwhile"])
def test_first_caller_interrupted_before_the_start(joined):
    """If an exception ends the first caller before it starts, the next one does the work."""

    async def done():
        return "done"

    async def want():
        flight = SingleFlight(TaskWaiter)
        leader = _Leader()
        flight._flights[TaskWaiter.domain()] = _Flight(leader)
        if not joined:
            del leader
        wanted = asyncio.ensure_future(flight.do(done, deadline=soon()))
        await asyncio.sleep(0)
        leader = None
        return await wanted

    start = monotonic()
    assert asyncio.run(want()) == "done"
    assert monotonic() < start + 30


def test_loops_do_not_block_each_other():
    """A loop that is blocked during the work blocks no other loop."""
    flight = SingleFlight(TaskWaiter)

    async def never():
        await asyncio.sleep(60)

    async def done():
        return "done"

    still = asyncio.new_event_loop()
    task = still.create_task(flight.do(never, deadline=soon()))
    still.run_until_complete(asyncio.sleep(0.01))
    assert asyncio.run(flight.do(done, deadline=soon())) == "done"
    task.cancel()
    still.run_until_complete(asyncio.wait([task]))
    still.close()


def test_copied_error_has_the_attributes():
    """Each caller's copy of an error has the attributes of the first."""

    async def work():
        await asyncio.sleep(0)
        raise ModelError("busy", retryable=True, retry_after=3.0)

    async def all_want():
        flight = SingleFlight(TaskWaiter)
        many = [flight.do(work, deadline=soon()) for _ in range(2)]
        return await asyncio.gather(*many, return_exceptions=True)

    for one in asyncio.run(all_want()):
        assert isinstance(one, ModelError)
        assert (str(one), one.retryable, one.retry_after) == ("busy", True, 3.0)
