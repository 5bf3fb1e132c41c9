"""Threads for work that must not block its caller: started on demand, reused while idle.

Not a ThreadPoolExecutor: that has a size, and a run that waits inside another one for a free
thread would wait for ever. Here each task has its own thread as soon as it is submitted.
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
from fibonacci.plugin._runtime.forks import on_fork
from fibonacci.plugin._runtime.platforms import refuse_late_patches
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.timing import DeadlineExceeded
from fibonacci.plugin._runtime.waiters import ThreadWaiter

MAX_IDLE: Final = 32
"""Idle threads that wait for a task; one more ends."""

IDLE_TIMEOUT: Final = 10.0
"""Seconds that a thread waits for a task before it ends."""

T = TypeVar("T")


class NoThreadError(OSError):
    """No thread could be started, and the work has not begun.

    The system starts no more threads, or Python is about to exit.
    """

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
        # An item for each thread that has no task and none waiting for it; lists are atomic.
        self._idle: list[None] = []

    def submit(self, task: Task) -> None:
        """Run the task, which must not raise, in a thread that does not delay the exit of Python.

        Raises NoThreadError, and what `refuse_late_patches` raises.
        """
        if sys.is_finalizing():  # idle threads run no more
            raise NoThreadError(at_exit=True)
        try:
            self._idle.pop()
        except IndexError:
            self._start_thread()
        self._tasks.put(task)

    def _start_thread(self) -> None:
        refuse_late_patches()
        name = f"fibonacci-worker-{next(_numbers)}"
        thread = Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise_for_signal(error)
            raise NoThreadError(at_exit="shutdown" in str(error)) from error

    def _work(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=IDLE_TIMEOUT)
            except Empty:
                if self._try_retire():
                    return
                continue
            task()
            del task  # or it would live until the next task
            if len(self._idle) >= MAX_IDLE:
                return
            self._idle.append(None)

    def _try_retire(self) -> bool:
        try:
            self._idle.pop()
        except IndexError:  # a task was just submitted to this thread
            return False
        return True


_workers = Workers()


def submit_to_thread(task: Task) -> None:
    """Run the task, which must not raise, in a thread, and do not wait for it.

    It does not delay the exit of Python. The threads are shared by all workflows of the process.
    Raises NoThreadError.
    """
    _workers.submit(task)


async def run_in_thread(work: Callable[[], T]) -> T:
    """Run the work in a thread, in a copy of this context; a cancelled caller stops waiting.

    ``asyncio.to_thread`` has few threads, which the application's own calls may occupy, and the end
    of the loop waits for them. This function does not use them. Raises NoThreadError.
    """
    import asyncio  # lazily: it takes 62 ms

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def set_outcome(result: T | None, error: BaseException | None) -> None:
        if future.done():  # its caller was cancelled, or is late
            return
        if error is None:
            future.set_result(cast(T, result))
        else:
            future.set_exception(error)

    def task() -> None:
        outcome = capture_outcome(partial(context.run, work))
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(set_outcome, *outcome)

    submit_to_thread(task)
    return await future


def capture_outcome(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Run the work; return its result, or the exception that it raised, for the waiting caller."""
    try:
        return work(), None
    except StopIteration as stop:
        # No future takes a StopIteration; a coroutine would raise the same RuntimeError.
        error = RuntimeError("a function raised StopIteration")
        error.__cause__ = stop
        return None, error
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        return None, error


def call_in_thread(work: Callable[[], T], *, deadline: float) -> T:
    """Run the work in a thread, in a copy of this context; stop waiting for it at the deadline.

    For blocking work that takes no deadline. It runs in the calling thread if Python is about to
    exit and starts no more threads. Raises DeadlineExceeded, and NoThreadError if the system starts
    no more threads.
    """
    outcomes: list[tuple[T | None, BaseException | None]] = []
    waiter = ThreadWaiter()
    work_in_context = partial(copy_context().run, work)

    def task() -> None:
        outcomes.append(capture_outcome(work_in_context))
        waiter.wake()

    try:
        submit_to_thread(task)
    except NoThreadError as refused:
        if not refused.at_exit:
            raise
        return work()
    run_sync(waiter.wait(deadline))
    if not outcomes:
        raise DeadlineExceeded
    result, error = outcomes[0]
    if error is not None:
        raise error
    return cast(T, result)


def _reset_after_fork() -> None:
    global _workers
    _workers = Workers()


on_fork(after_in_child=_reset_after_fork)
