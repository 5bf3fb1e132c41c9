"""The runtime of ``aexecute`` and ``astream``: asyncio tasks.

Only async programs import it: asyncio takes 62 ms.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Lock
from typing import Any, Final, TypeVar

from fibonacci._workflow.runtime import Runtime, Worker, is_async
from fibonacci._workflow.timeouts import await_before
from fibonacci.plugin._runtime.threads import (
    NoThreadError,
    capture_outcome,
    run_in_thread,
    submit_to_thread,
)
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta

T = TypeVar("T")

_END: Final = object()
"""A generator has yielded all."""


class AsyncRuntime(Runtime):
    """Awaits models and async functions, and calls sync functions in threads; workers are tasks."""

    is_sync = False

    def __init__(self) -> None:
        super().__init__()
        self.event_loop = asyncio.get_running_loop()
        self._workers: set[asyncio.Task[None]] = set()
        self._task = asyncio.current_task()
        self._cancellations = 0 if self._task is None else self._task.cancelling()

    async def complete(self, model: Model, request: ModelRequest) -> Completion:
        return await await_before(request.deadline, model.acomplete(request))

    def stream(self, model: Model, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        return model.astream(request)

    async def with_deadline(
        self, function: Callable[[], Coroutine[Any, Any, T]], deadline: float | None
    ) -> T:
        return await await_before(deadline, function())

    async def call(
        self, function: Callable[[Any], Any], argument: Any, deadline: float | None
    ) -> Any:
        return await await_before(deadline, call_async(function, argument))

    def raise_pending_cancellation(self) -> None:
        """Raise CancelledError again if a function swallowed the cancellation of the run.

        Only the run's own task can tell: a timeout within its node cancels it for a moment too,
        and does not concern the other nodes.
        """
        task = asyncio.current_task()
        if task is not None and task is self._task and task.cancelling() > self._cancellations:
            raise asyncio.CancelledError

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def start(self, worker: Worker) -> None:
        task = asyncio.get_running_loop().create_task(worker)
        self._workers.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._workers.discard(task)
        if not task.cancelled():
            # The scheduler has it; retrieved here too, or asyncio warns that nobody did.
            task.exception()

    async def join(self) -> None:
        while self._workers:
            await asyncio.wait(self._workers)

    async def cancel_all(self) -> None:
        for task in self._workers:
            task.cancel()
        await self.join()


async def call_async(function: Callable[[Any], Any], argument: Any) -> Any:
    """Await an async function; call a sync one in a thread, as it may block the event loop.

    What an async generator function returns is not awaited: there is nothing to wait for yet.
    """
    if is_async(function):
        result = function(argument)
    else:
        result = await run_in_thread(partial(function, argument))
    return await result if hasattr(result, "__await__") else result


async def iterate_in_threads(generator: Generator[Any]) -> AsyncGenerator[Any]:
    """Yield what a sync generator yields; each step runs in a thread, and all in one context.

    Closing it closes the generator and waits for that. A step can't be cancelled: it ends later,
    and the generator is closed after it, while its caller goes on.
    """
    lock, context = Lock(), copy_context()

    def in_turn(work: Callable[[], Any]) -> Any:
        with lock:
            return context.run(work)

    def close_in_turn() -> None:
        capture_outcome(close)

    step = partial(in_turn, partial(next, generator, _END))
    close = partial(in_turn, generator.close)
    while True:
        try:
            item = await run_in_thread(step)
        except asyncio.CancelledError:
            with suppress(NoThreadError):  # then it is closed as garbage
                submit_to_thread(close_in_turn)
            raise
        if item is _END:
            return
        try:
            yield item
        except GeneratorExit:
            await run_in_thread(close)
            raise
