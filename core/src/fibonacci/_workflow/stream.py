"""Following a run from a thread: the run goes on in threads of its own."""

import os
import sys
from collections.abc import Generator
from contextvars import copy_context
from queue import SimpleQueue

from fibonacci._workflow.channel import Channel, Letter, Running
from fibonacci._workflow.events import Event, WorkflowFinished
from fibonacci.errors import WorkflowError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.threads import NoThreadError, submit_to_thread
from fibonacci.plugin._runtime.waiters import ThreadWaiter


class ThreadChannel(Channel):
    """The reader and the run are in different threads, of one process."""

    waiter = ThreadWaiter

    def __init__(self) -> None:
        super().__init__()
        self._queue: SimpleQueue[Letter | BaseException] = SimpleQueue()
        self._process = os.getpid()

    def _put(self, letter: Letter | BaseException) -> None:
        self._queue.put(letter)

    async def _get(self) -> Letter | BaseException:
        return self._queue.get()

    async def read(self) -> Event:
        if self._process != os.getpid():
            raise WorkflowError(
                "a stream goes on in the process that began it: a forked child can't follow it"
            )
        return await super().read()

    async def close(self) -> None:
        """In a forked child, and when Python ends, the threads are gone: nothing is to stop."""
        if self._process == os.getpid() and not sys.is_finalizing():
            await super().close()


def stream(running: Running) -> Generator[Event]:
    """Yield the events of a run."""
    channel = ThreadChannel()
    context = copy_context()
    try:
        try:
            submit_to_thread(lambda: context.run(run_sync, channel.carry(running)))
        except NoThreadError as fault:
            raise WorkflowError("the system has no thread left for the run") from fault
        event: Event | None = None
        while not isinstance(event, WorkflowFinished):
            event = run_sync(channel.read())
            yield event
    finally:
        run_sync(channel.close())
