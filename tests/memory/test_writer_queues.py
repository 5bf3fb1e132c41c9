"""Rare events between the writers in a queue."""

import asyncio
from time import monotonic

from fibonacci._memory.cas import Ticket, WriterQueues
from fibonacci.plugin import Address, Space
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter

ADDRESS = Address(Space("p:", "workflow", "w"), "k")


def create_tickets(queues: WriterQueues, number: int) -> list[Ticket]:
    """Return tickets of different callers; the first is at the head of the queue."""
    tickets = [Ticket(ADDRESS, monotonic() + 60, caller) for caller in range(number)]
    run_sync(queues.acquire(tickets[0]))
    return tickets


def test_woken_task_that_is_overtaken_before_it_runs_goes_on():
    """A task that became the head, and was overtaken before it ran, returns from acquire()."""

    async def work() -> None:
        queues = WriterQueues(TaskWaiter)
        head, second, third = create_tickets(queues, 3)
        tasks = [asyncio.create_task(queues.acquire(ticket)) for ticket in (second, third)]
        await asyncio.sleep(0)
        queues.release(head, None, 0.0)
        queue = second.queue
        assert queue is not None
        queue.head_since -= 10  # a stall
        assert queues._overtake_if_stalled(third, queue, 0.25)
        assert queues._overtake_if_stalled(third, queue, 0.25)
        await asyncio.gather(*tasks)
        for ticket in (second, third):
            queues.release(ticket, None, 0.0)
        assert not queues._queues

    started = monotonic()
    asyncio.run(work())
    assert monotonic() < started + 30


def test_queue_survives_an_exception_while_it_advances():
    """A head that an exception left among the waiting does not become the head twice."""

    async def work() -> None:
        queues = WriterQueues(TaskWaiter)
        head, second, third = create_tickets(queues, 3)
        tasks = [asyncio.create_task(queues.acquire(ticket)) for ticket in (second, third)]
        await asyncio.sleep(0)
        queue = head.queue
        assert queue is not None
        queue.head = second
        second.is_head = True
        queues.release(head, None, 0.0)
        queues.release(second, None, 0.0)
        assert queue.head is third
        await asyncio.gather(*tasks)

    started = monotonic()
    asyncio.run(work())
    assert monotonic() < started + 30


def test_signal_handler_does_not_wait_for_the_call_that_it_interrupts():
    """acquire() returns at once in a signal handler that interrupts acquire() of its thread."""

    class InterruptedWaiter(ThreadWaiter):
        def __init__(self) -> None:  # called with the lock
            assert not run_sync(queues.acquire(handler))
            super().__init__()

    queues = WriterQueues(InterruptedWaiter)
    head, _ = create_tickets(queues, 2)
    interrupted, handler = (Ticket(ADDRESS, monotonic(), "caller") for _ in range(2))
    assert run_sync(queues.acquire(interrupted))  # overtakes at once: its deadline has come
    assert handler.queue is None
    for ticket in (handler, interrupted, head):
        queues.release(ticket, None, 0.0)
    assert not queues._queues
    assert not queues._inside


def test_caller_does_not_wait_for_itself():
    """A caller that is in a queue already, at its head or not, does not enter it again."""
    queues = WriterQueues(ThreadWaiter)
    (head,) = create_tickets(queues, 1)
    again = Ticket(ADDRESS, monotonic() + 60, head.caller)
    assert not run_sync(queues.acquire(again))
    assert again.queue is None
    queues.release(again, None, 0.0)
    assert head.queue is not None
    assert head.queue.head is head


def test_waiter_may_be_woken_twice():
    """wait() returns if wake() was called twice, as after an exception in the queue."""
    waiter = ThreadWaiter()
    waiter.wake()
    waiter.wake()
    run_sync(waiter.wait(monotonic() + 60))


def test_waiter_of_a_task_may_be_woken_by_another_thread():
    """wake() may run in any thread, where the head's task is collected: wait() returns."""

    async def work() -> bool:
        waiter = TaskWaiter()
        waiting = asyncio.create_task(waiter.wait(monotonic() + 60))
        await asyncio.sleep(0)
        await asyncio.to_thread(waiter.wake)
        await waiting
        return True

    started = monotonic()
    assert asyncio.run(work(), debug=True)
    assert monotonic() < started + 30
