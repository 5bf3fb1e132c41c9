"""Following a run from a task: the run goes on in tasks of its own. Imports asyncio."""

import asyncio
from collections.abc import AsyncGenerator

from fibonacci._workflow.channel import Channel, Letter, Running
from fibonacci._workflow.events import Event, WorkflowFinished
from fibonacci.plugin._runtime.waiters import TaskWaiter


class TaskChannel(Channel):
    """The reader and the run are on one loop."""

    waiter = TaskWaiter

    def __init__(self) -> None:
        super().__init__()
        self._queue: asyncio.Queue[Letter | BaseException] = asyncio.Queue()

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
