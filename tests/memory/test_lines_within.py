"""What is rare between the callers of a line, made to happen."""

import asyncio
from time import monotonic

from fibonacci._memory.lines import Lines, Place
from fibonacci.plugin import Address, Space
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter

ADDRESS = Address(Space("p:", "workflow", "w"), "k")


def in_line(lines: Lines, callers: int, seconds: float = 60) -> list[Place]:
    """Places of so many callers, of whom the first is in front."""
    places = [Place(ADDRESS, monotonic() + seconds, caller) for caller in range(callers)]
    run_sync(lines.enter(places[0]))
    return places


def test_who_is_passed_before_it_wakes():
    """A task that was let go, and passed before it ran, goes all the same."""

    async def work() -> None:
        lines = Lines(TaskWaiter)
        front, second, third = in_line(lines, 3)
        waiting = [asyncio.create_task(lines.enter(one)) for one in (second, third)]
        await asyncio.sleep(0)
        lines.leave(front, None, 0.0)
        line = second.line
        assert line is not None
        line.moved -= 10  # it stands still for long
        assert lines._passes(third, line, 0.25)
        assert lines._passes(third, line, 0.25)
        await asyncio.gather(*waiting)
        for one in (second, third):
            lines.leave(one, None, 0.0)
        assert not lines._lines

    started = monotonic()
    asyncio.run(work())
    assert monotonic() < started + 30


def test_an_exception_in_the_midst_of_a_move():
    """A caller that is in front, and was not yet taken out of the queue, is not let go twice."""

    async def work() -> None:
        lines = Lines(TaskWaiter)
        front, second, third = in_line(lines, 3)
        waiting = [asyncio.create_task(lines.enter(one)) for one in (second, third)]
        await asyncio.sleep(0)
        line = front.line
        assert line is not None
        line.front = second
        second.has_turn = True
        lines.leave(front, None, 0.0)
        lines.leave(second, None, 0.0)
        assert line.front is third
        await asyncio.gather(*waiting)

    started = monotonic()
    asyncio.run(work())
    assert monotonic() < started + 30


def test_a_call_in_the_midst_of_the_bookkeeping():
    """A signal handler that comes while its thread holds the lock stands in no line."""
    lines = Lines(ThreadWaiter)
    front, handler = in_line(lines, 2)
    with lines._lock:
        run_sync(lines.enter(handler))
    assert handler.line is None
    lines.leave(handler, None, 0.0)
    lines.leave(front, None, 0.0)
    assert not lines._lines


def test_a_caller_does_not_wait_for_itself():
    """Who stands in a line, in front or waiting, stands in it once."""
    lines = Lines(ThreadWaiter)
    (front,) = in_line(lines, 1)
    again = Place(ADDRESS, monotonic() + 60, front.caller)
    run_sync(lines.enter(again))
    assert again.line is None
    lines.leave(again, None, 0.0)
    assert front.line is not None
    assert front.line.front is front


def test_a_gate_is_opened_once_or_twice():
    """A caller that was let go twice, as an exception came between, goes once."""
    gate = ThreadWaiter()
    gate.wake()
    gate.wake()
    run_sync(gate.wait(monotonic() + 60))


def test_a_gate_opened_by_another_thread():
    """A task in the line may be collected in any thread: whoever waits behind it wakes."""

    async def work() -> bool:
        gate = TaskWaiter()
        waiting = asyncio.create_task(gate.wait(monotonic() + 60))
        await asyncio.sleep(0)
        await asyncio.to_thread(gate.wake)
        await waiting
        return True

    started = monotonic()
    assert asyncio.run(work(), debug=True)
    assert monotonic() < started + 30
