"""Following a run from a task: the run goes on in tasks of its own. Imports asyncio."""

import asyncio
from collections.abc import AsyncGenerator

from fibonacci._workflow.channel import Channel, Letter, Running, Signal
from fibonacci._workflow.events import Event, WorkflowFinished


class TaskSignal(Signal):
    """Between two tasks."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, deadline: float | None = None) -> None:
        """Whoever has a deadline is cancelled at it."""
        await self._event.wait()

    def is_own(self) -> bool:
        """The loop closes what is garbage in a task of its own."""
        return False


class TaskChannel(Channel):
    """The reader and the run are on one loop."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: asyncio.Queue[Letter | BaseException] = asyncio.Queue()

    def signal(self) -> TaskSignal:
        return TaskSignal()

    def _put(self, letter: Letter | BaseException) -> None:
        self._queue.put_nowait(letter)

    async def _get(self) -> Letter | BaseException:
        return await self._queue.get()


async def astream(running: Running) -> AsyncGenerator[Event]:
    """Yield the events of a run."""
    channel = TaskChannel()
    # A task of its own: a reader's timeout around one event is nothing to the run.
    task = asyncio.get_running_loop().create_task(channel.carry(running))
    try:
        event: Event | None = None
        while not isinstance(event, WorkflowFinished):
            event = await channel.read()
            yield event
    finally:
        try:
            await channel.close()
        finally:
            task.cancel()
            await asyncio.wait([task])
