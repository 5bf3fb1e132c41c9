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
    # A task of its own: each event may be read from another one.
    task = asyncio.get_running_loop().create_task(channel.carry(running))
    try:
        event: Event | None = None
        while not isinstance(event, WorkflowFinished):
            event = await channel.read()
            yield event
    finally:
        if not task.done():
            # Shielded, as some frameworks cancel a reader over and over until it has ended: a node
            # that is writing would be cut off between two of its records. The loop holds no task,
            # but what this one waits for does.
            await asyncio.shield(_end(channel, task))


async def _end(channel: TaskChannel, task: "asyncio.Task[None]") -> None:
    await channel.close()
    task.cancel()
    await asyncio.wait([task])
