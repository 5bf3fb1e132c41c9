"""The async voice of a run. Imported by async programs alone: asyncio costs 62 ms."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from fibonacci._workflow.voice import Overdue, Strand, Voice, is_async
from fibonacci._workflow.workers import hand_over
from fibonacci.plugin.models import Completion, Model, ModelRequest

T = TypeVar("T")


class AsyncVoice(Voice):
    """Models and async functions are awaited, plain functions run in threads, strands in tasks."""

    plainly = False

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def complete(self, model: Model, request: ModelRequest) -> Completion:
        return await _within(model.acomplete(request), request.deadline)

    async def call(
        self, function: Callable[[Any], Any], argument: Any, deadline: float | None
    ) -> Any:
        return await _within(awaited(function, argument), deadline)

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
    answer = await _in_thread(partial(function, argument))
    return await answer if hasattr(answer, "__await__") else answer


async def _within(answer: Awaitable[T], deadline: float | None) -> T:
    if deadline is None:
        return await answer
    due = asyncio.get_running_loop().time() + deadline - monotonic()
    bound = asyncio.timeout_at(due)
    try:
        async with bound:
            return await answer
    except TimeoutError:
        if bound.expired():
            raise Overdue from None
        raise


async def _in_thread(work: Callable[[], Any]) -> Any:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def settle(answer: Any, fault: BaseException | None) -> None:
        if future.done():  # its caller was cancelled, or is late
            return
        if fault is None:
            future.set_result(answer)
        else:
            future.set_exception(fault)

    def task() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = (context.run(work), None)
        except StopIteration as stop:
            # No future takes it; a coroutine would have made the same of it.
            outcome = (None, RuntimeError("a function raised StopIteration"))
            outcome[1].__cause__ = stop
        except BaseException as fault:  # noqa: BLE001 - raised where it is waited for
            outcome = (None, fault)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, *outcome)

    hand_over(task)
    return await future
