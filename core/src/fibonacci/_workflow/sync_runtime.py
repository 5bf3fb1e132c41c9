"""The runtime of ``execute`` and ``stream``: direct calls, and workers in threads."""

import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import closing, suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Lock
from time import sleep
from typing import Any, TypeVar

from fibonacci._workflow.runtime import Runtime, Worker, reject_awaitable
from fibonacci._workflow.timeouts import call_before
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.threads import NoThreadError, submit_to_thread
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta

T = TypeVar("T")


class SyncRuntime(Runtime):
    """Calls models and functions in the worker's thread.

    A call with a deadline runs in another thread, which can be left running.
    """

    is_sync = True

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._worker_count = 0
        self._all_ended: SimpleQueue[None] = SimpleQueue()

    async def complete(self, model: Model, request: ModelRequest) -> Completion:
        if request.deadline is None:
            return model.complete(request)
        return call_before(request.deadline, partial(model.complete, request))

    async def stream(
        self, model: Model, request: ModelRequest
    ) -> AsyncGenerator[TextDelta | Completion]:
        with closing(model.stream(request)) as deltas:
            for delta in deltas:
                yield delta

    async def with_deadline(
        self, function: Callable[[], Coroutine[Any, Any, T]], deadline: float | None
    ) -> T:
        if deadline is None:
            return await function()
        return call_before(deadline, lambda: run_sync(function()))

    async def call(
        self, function: Callable[[Any], Any], argument: Any, deadline: float | None
    ) -> Any:
        if deadline is None:
            return reject_awaitable(function(argument))
        return reject_awaitable(call_before(deadline, partial(function, argument)))

    def raise_pending_cancellation(self) -> None:
        """Nothing is pending: an exception that a signal handler raises reaches its thread."""

    async def sleep(self, seconds: float) -> None:
        sleep(seconds)  # noqa: ASYNC251 - sync code

    def start(self, worker: Worker) -> None:
        context = copy_context()
        with self._lock:
            self._worker_count += 1
        try:
            submit_to_thread(lambda: context.run(self._run, worker))
        except NoThreadError:
            with self._lock:
                self._worker_count -= 1
            raise

    def _run(self, worker: Worker) -> None:
        with suppress(BaseException):  # the scheduler has it
            run_sync(worker)
        with self._lock:
            self._worker_count -= 1
            is_last = not self._worker_count
        if is_last:
            self._all_ended.put(None)

    async def join(self) -> None:
        # A forked child that goes on with the run has none of its threads.
        while self._worker_count and self.process == os.getpid():
            self._all_ended.get()

    async def cancel_all(self) -> None:
        """Threads can't be stopped: each worker checks whether its run was cancelled."""
