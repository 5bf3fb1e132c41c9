"""Threads for what must not hold up its caller: made when they are needed, kept for a while.

Not a ThreadPoolExecutor: that has a size, and a run that waits inside another one for a free
thread would wait for ever. Here each task has a thread to itself, from the moment that it is
handed over.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from errno import EAGAIN
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar, cast

from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.deadlines import DeadlineExceeded
from fibonacci.plugin._runtime.forks import on_fork
from fibonacci.plugin._runtime.patches import refuse_late_patches
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.waiters import ThreadWaiter

KEPT: Final = 32
"""Threads at rest; one more that comes to rest ends."""

REST: Final = 10.0
"""Seconds that a thread waits for a task before it ends."""

T = TypeVar("T")


class NoThreadError(OSError):
    """The system starts no further thread, or Python is about to end; nothing was begun."""

    def __init__(self, *, at_exit: bool) -> None:
        text = "Python is about to end" if at_exit else "the system starts no further thread"
        super().__init__(EAGAIN, f"no thread can be started: {text}")
        self.at_exit = at_exit


Task = Callable[[], None]

_numbers: Final = count(1)


class Workers:
    """All threads take from one queue, so the first to wake may do the work of several."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        # One for each thread that has no task and none waiting for it; lists are atomic.
        self._free: list[None] = []

    def hand_over(self, task: Task) -> None:
        """Have a thread run the task, which must not raise. Nobody waits for it at exit.

        Raises NoThreadError, and what `refuse_late_patches` raises.
        """
        if sys.is_finalizing():  # threads at rest stay so
            raise NoThreadError(at_exit=True)
        try:
            self._free.pop()
        except IndexError:
            self._start_one()
        self._tasks.put(task)

    def _start_one(self) -> None:
        refuse_late_patches()
        name = f"fibonacci-worker-{next(_numbers)}"
        thread = Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as fault:
            raise_for_signal(fault)
            raise NoThreadError(at_exit="shutdown" in str(fault)) from fault

    def _work(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=REST)
            except Empty:
                if self._may_leave():
                    return
                continue
            task()
            del task  # or it would live until the next one comes
            if len(self._free) >= KEPT:
                return
            self._free.append(None)

    def _may_leave(self) -> bool:
        try:
            self._free.pop()
        except IndexError:  # somebody has just counted on this thread
            return False
        return True


_workers = Workers()


def submit_to_thread(task: Task) -> None:
    """Have a thread run the task, which must not raise, and go on without it.

    Nobody waits for it, at exit neither. The threads are shared by all workflows of the process.
    RuntimeError where none can be started any more, as Python is about to end.
    """
    _workers.hand_over(task)


async def run_in_thread(work: Callable[[], T]) -> T:
    """Do the work in a thread, in a copy of this context; whoever is cancelled leaves it behind.

    Not ``asyncio.to_thread``: that has few threads, which the application's own calls may keep
    busy, and the end of the loop waits for them. Raises NoThreadError.
    """
    import asyncio  # only async programs pay for it: 62 ms

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def settle(answer: T | None, fault: BaseException | None) -> None:
        if future.done():  # its caller was cancelled, or is late
            return
        if fault is None:
            future.set_result(cast(T, answer))
        else:
            future.set_exception(fault)

    def task() -> None:
        ended = outcome(partial(context.run, work))
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, *ended)

    submit_to_thread(task)
    return await future


def outcome(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Do the work; return its answer, or what it raised, for whoever waits for it elsewhere."""
    try:
        return work(), None
    except StopIteration as stop:
        # No future takes one; a coroutine would have made the same of it.
        fault = RuntimeError("a function raised StopIteration")
        fault.__cause__ = stop
        return None, fault
    except BaseException as fault:  # noqa: BLE001 - raised where it is waited for
        return None, fault


def call_in_thread(work: Callable[[], T], *, deadline: float) -> T:
    """Do the work in a thread, in a copy of this context; at the deadline, leave it behind there.

    For what knows no deadline, and blocks. Where no thread can be started any more, as Python is
    about to end, it is done in this one. Raises DeadlineExceeded, and NoThreadError where the
    system starts no further thread.
    """
    ended: list[tuple[T | None, BaseException | None]] = []
    waiter = ThreadWaiter()
    work_here = partial(copy_context().run, work)

    def task() -> None:
        ended.append(outcome(work_here))
        waiter.wake()

    try:
        submit_to_thread(task)
    except NoThreadError as refused:
        if not refused.at_exit:
            raise
        return work()
    run_sync(waiter.wait(deadline))
    if not ended:
        raise DeadlineExceeded
    answer, fault = ended[0]
    if fault is not None:
        raise fault
    return cast(T, answer)


def _reset_after_fork() -> None:
    global _workers
    _workers = Workers()


on_fork(after_in_child=_reset_after_fork)
