"""Streaming: a run hands its events to a reader.

`Channel` is between the two, `stream` and `astream` are the generators that read it, and
`stream_completion` sends a request to a model and emits its deltas.

A run waits at each event until the next one is requested, as a generator does, and so does each of
its workers. A slow reader slows the run and fills no memory. When the reader stops, nothing beyond
the events that it read has happened, except in concurrent branches.

The channel is written once, as coroutines over a waiter and a queue, for threads and for tasks.
"""

import os
import sys
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import aclosing, contextmanager
from contextvars import copy_context
from functools import partial
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import attrs

from fibonacci._workflow.events import Event, NodeText, WorkflowFinished
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.run import RunChannel
from fibonacci._workflow.runtime import RunCancelled, Runtime
from fibonacci._workflow.timeouts import NodeDeadlineExceeded, has_passed
from fibonacci.errors import WorkflowError, WorkflowValidationError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.threads import NoThreadError, submit_to_thread
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter, Waiter
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta

if TYPE_CHECKING:
    from asyncio import Task

RunFactory = Callable[["Channel"], Coroutine[Any, Any, ExecutionResult]]
"""Returns the coroutine of a run that emits its events to a channel."""


@attrs.frozen(eq=False)
class PendingEvent:
    """An event that was emitted."""

    event: Event
    consumed: Waiter
    """Woken when the next event is requested, or when none will be."""
    model_stream_closed: Waiter | None
    """Woken when the model's stream that the event came from is closed."""


class Channel(RunChannel):
    """Hands the events of one run to one reader."""

    def __init__(self) -> None:
        self._is_closed = False
        self._pending: set[PendingEvent] = set()
        self._writes: set[Waiter] = set()
        self._last_read: PendingEvent | None = None

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @abstractmethod
    def _put(self, item: PendingEvent | BaseException) -> None:
        """Add to the queue."""

    @abstractmethod
    async def _get(self) -> PendingEvent | BaseException:
        """Take from the queue; wait while it is empty."""

    async def emit(
        self,
        event: Event,
        deadline: float | None = None,
        model_stream_closed: Waiter | None = None,
    ) -> None:
        if has_passed(deadline):
            raise NodeDeadlineExceeded
        pending = PendingEvent(event, self.waiter(), model_stream_closed)
        self._pending.add(pending)
        try:
            self._put(pending)
            if not self.is_closed:  # after it was added: close() sees it, or this sees close()
                await pending.consumed.wait(inf if deadline is None else deadline)
        finally:
            self._pending.discard(pending)
        if self.is_closed:  # after it was removed: close() waits for no model that still works
            raise RunCancelled
        if has_passed(deadline):
            raise NodeDeadlineExceeded

    @contextmanager
    def writing(self) -> Iterator[None]:
        ended = self.waiter()
        self._writes.add(ended)
        try:
            yield
        finally:
            self._writes.discard(ended)
            ended.wake()

    async def run_and_forward(self, run: RunFactory) -> None:
        """Run, and put the result or the exception at the end of the queue."""
        try:
            result = await run(self)
        except BaseException as error:  # noqa: BLE001 - the reader raises it
            self._put(error)
        else:
            self._put(PendingEvent(WorkflowFinished(result), self.waiter(), None))

    async def read(self) -> Event:
        """Return the next event. Raises what the run raised."""
        if self._last_read is not None:
            self._last_read.consumed.wake()
        item = await self._get()
        if isinstance(item, BaseException):
            raise item
        self._last_read = item
        return item.event

    async def close(self) -> None:
        """Stop the run where it is.

        Streams of models that wait for the reader are closed, and memory writes that have begun
        have ended, before this returns.
        """
        self._is_closed = True
        pending = list(self._pending)
        for item in pending:
            item.consumed.wake()
        streams = [item.model_stream_closed for item in pending]
        for end in [*self._writes, *streams]:
            if end is not None and end.owner != end.caller():  # else this would wait for itself
                await end.wait(inf)


class ThreadChannel(Channel):
    """The reader and the run are in different threads of one process."""

    @property
    def waiter(self) -> type[Waiter]:
        return ThreadWaiter

    def __init__(self) -> None:
        super().__init__()
        self._queue: SimpleQueue[PendingEvent | BaseException] = SimpleQueue()
        self._process = os.getpid()

    def _put(self, item: PendingEvent | BaseException) -> None:
        self._queue.put(item)

    async def _get(self) -> PendingEvent | BaseException:
        return self._queue.get()

    async def read(self) -> Event:
        if self._process != os.getpid():
            raise WorkflowError(
                "a forked child can't read a stream of its parent: start another one in the child"
            )
        return await super().read()

    async def close(self) -> None:
        """In a forked child, and when Python ends, the threads are gone: nothing has to stop."""
        if self._process == os.getpid() and not sys.is_finalizing():
            await super().close()


class TaskChannel(Channel):
    """The reader and the run are in tasks of one event loop."""

    @property
    def waiter(self) -> type[Waiter]:
        return TaskWaiter

    def __init__(self) -> None:
        import asyncio  # only async programs pay for it: 62 ms

        super().__init__()
        self._queue: asyncio.Queue[PendingEvent | BaseException] = asyncio.Queue()

    def _put(self, item: PendingEvent | BaseException) -> None:
        self._queue.put_nowait(item)

    async def _get(self) -> PendingEvent | BaseException:
        return await self._queue.get()


def stream(run: RunFactory) -> Generator[Event]:
    """Yield the events of a run, which runs in another thread."""
    channel = ThreadChannel()
    context = copy_context()
    try:
        try:
            submit_to_thread(lambda: context.run(run_sync, channel.run_and_forward(run)))
        except NoThreadError as error:
            raise WorkflowError("the system has no thread left for the run") from error
        event: Event | None = None
        while not isinstance(event, WorkflowFinished):
            event = run_sync(channel.read())
            yield event
    finally:
        run_sync(channel.close())


async def astream(run: RunFactory) -> AsyncGenerator[Event]:
    """Yield the events of a run, which runs in another task."""
    import asyncio

    channel = TaskChannel()
    # Another task, as each event may be read from a different one.
    task = asyncio.get_running_loop().create_task(channel.run_and_forward(run))
    try:
        event: Event | None = None
        while not isinstance(event, WorkflowFinished):
            event = await channel.read()
            yield event
    finally:
        if not task.done():
            # Shielded, as some frameworks cancel a reader over and over until it has ended: a node
            # that is writing would be cut off between two of its records. The loop holds no task
            # strongly, but what this one waits for does.
            await asyncio.shield(_close(channel, task))
        else:
            await channel.close()  # a nested run may outlive it, and wait for the reader


async def _close(channel: TaskChannel, task: "Task[None]") -> None:
    import asyncio

    await channel.close()
    task.cancel()
    await asyncio.wait([task])


async def stream_completion(
    runtime: Runtime, channel: RunChannel, node_id: str, model: Model, request: ModelRequest
) -> Completion:
    """Send a request to a model, emit each delta, and return the completion.

    Raises NodeDeadlineExceeded.
    """
    forward = partial(_forward_deltas, runtime, channel, node_id, model, request)
    return await runtime.with_deadline(forward, request.deadline)


async def _forward_deltas(
    runtime: Runtime, channel: RunChannel, node_id: str, model: Model, request: ModelRequest
) -> Completion:
    closed = channel.waiter()
    try:
        async with aclosing(runtime.stream(model, request)) as deltas:
            async for delta in deltas:
                if not isinstance(delta, TextDelta):
                    return _completion(delta)
                if delta.text:
                    event = NodeText(node_id, delta.text)
                    await channel.emit(event, request.deadline, closed)
    finally:
        closed.wake()
    return _completion(None)


def _completion(last: Completion | None) -> Completion:
    if isinstance(last, Completion):
        return last
    raise WorkflowValidationError(
        f"a model must stream TextDeltas and end with a Completion, not {type(last).__name__}"
    )
