"""What is rare between the callers of a line, made to happen."""

import asyncio
from time import monotonic

from fibonacci._memory.cas import Ticket, WriterQueues
from fibonacci.plugin import Address, Space
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter

ADDRESS = Address(Space("p:", "workflow", "w"), "k")


def enqueued(queues: WriterQueues, callers: int, seconds: float = 60) -> list[Ticket]:
    """Tickets of so many callers, of whom the first is in head."""
    tickets = [Ticket(ADDRESS, monotonic() + seconds, caller) for caller in range(callers)]
    run_sync(queues.acquire(tickets[0]))
    return tickets


def test_who_is_passed_before_it_wakes():
    """A task that was let go, and passed before it ran, goes all the same."""

    async def work() -> None:
        queues = WriterQueues(TaskWaiter)
        head, second, third = enqueued(queues, 3)
        waiting = [asyncio.create_task(queues.acquire(one)) for one in (second, third)]
        await asyncio.sleep(0)
        queues.release(head, None, 0.0)
        queue = second.queue
        assert queue is not None
        queue.head_since -= 10  # it stands still for long
        assert queues._overtake_if_stalled(third, queue, 0.25)
        assert queues._overtake_if_stalled(third, queue, 0.25)
        await asyncio.gather(*waiting)
        for one in (second, third):
            queues.release(one, None, 0.0)
        assert not queues._queues

    started = monotonic()
    asyncio.run(work())
    assert monotonic() < started + 30


def test_an_exception_in_the_midst_of_a_move():
    """A caller that is in head, and was not yet taken out of the queue, is not let go twice."""

    async def work() -> None:
        queues = WriterQueues(TaskWaiter)
        head, second, third = enqueued(queues, 3)
        waiting = [asyncio.create_task(queues.acquire(one)) for one in (second, third)]
        await asyncio.sleep(0)
        queue = head.queue
        assert queue is not None
        queue.head = second
        second.is_head = True
        queues.release(head, None, 0.0)
        queues.release(second, None, 0.0)
        assert queue.head is third
        await asyncio.gather(*waiting)

    started = monotonic()
    asyncio.run(work())
    assert monotonic() < started + 30


def test_a_call_in_the_midst_of_the_bookkeeping():
    """A signal handler that comes while its thread holds the lock stands in no line."""
    queues = WriterQueues(ThreadWaiter)
    head, handler = enqueued(queues, 2)
    queues._inside.add(handler.caller)
    assert not run_sync(queues.acquire(handler))
    queues._inside.clear()
    assert handler.queue is None
    queues.release(handler, None, 0.0)
    queues.release(head, None, 0.0)
    assert not queues._queues


def test_a_caller_does_not_wait_for_itself():
    """Who stands in a line, in head or waiting, stands in it once."""
    queues = WriterQueues(ThreadWaiter)
    (head,) = enqueued(queues, 1)
    again = Ticket(ADDRESS, monotonic() + 60, head.caller)
    run_sync(queues.acquire(again))
    assert again.queue is None
    queues.release(again, None, 0.0)
    assert head.queue is not None
    assert head.queue.head is head


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
