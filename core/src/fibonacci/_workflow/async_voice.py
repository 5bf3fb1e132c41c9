"""The async voice of a run. Imported by async programs alone: asyncio costs 62 ms."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from fibonacci._workflow.voice import Overdue, Strand, Voice, Work, is_async
from fibonacci.plugin._runtime.threads import run_in_thread
from fibonacci.plugin._runtime.timing import timeout_at
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta

T = TypeVar("T")


class AsyncVoice(Voice):
    """Models and async functions are awaited, plain functions run in threads, strands in tasks."""

    plainly = False

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._own = asyncio.current_task()
        self._cancelled = 0 if self._own is None else self._own.cancelling()

    async def complete(self, model: Model, request: ModelRequest) -> Completion:
        return await _within(model.acomplete(request), request.deadline)

    def pieces(self, model: Model, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        return model.astream(request)

    async def within(self, work: Work[T], deadline: float | None) -> T:
        return await _within(work(), deadline)

    async def call(
        self, function: Callable[[Any], Any], argument: Any, deadline: float | None
    ) -> Any:
        return await _within(awaited(function, argument), deadline)

    def check(self) -> None:
        """A function may have swallowed the cancellation that was meant for the run.

        Only the run's own task can tell: a timeout within its node cancels it for a moment too,
        and that is nothing to the nodes beside.
        """
        own = asyncio.current_task()
        if own is not None and own is self._own and own.cancelling() > self._cancelled:
            raise asyncio.CancelledError

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def start(self, strand: Strand) -> None:
        task = asyncio.get_running_loop().create_task(strand)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the schedule has it; asyncio must not warn that nobody looked

    async def settle(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.settle()


async def awaited(function: Callable[[Any], Any], argument: Any) -> Any:
    """Await an async function; call a plain one in a thread, as it may hold up the loop."""
    if is_async(function):
        return await function(argument)
    answer = await run_in_thread(partial(function, argument))
    return await answer if hasattr(answer, "__await__") else answer


async def _within(answer: Awaitable[T], deadline: float | None) -> T:
    if deadline is None:
        return await answer
    bound = timeout_at(deadline)
    try:
        async with bound:
            taken = await answer
    except TimeoutError:
        if bound.expired():
            raise Overdue from None
        raise
    return _unless_late(taken, bound)


def _unless_late(taken: T, bound: asyncio.Timeout) -> T:
    if bound.expired():  # what was late swallowed its cancellation
        raise Overdue
    return taken
