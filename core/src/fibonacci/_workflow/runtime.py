"""The runtime of a run: how it calls models and functions, and what executes its workers.

A run is written once, as coroutines that await a runtime and a memory, and nothing else. A sync
runtime's coroutines never suspend: its workers run in threads.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, ClassVar, TypeVar

from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta

T = TypeVar("T")

Worker = Coroutine[Any, Any, None]
"""Runs nodes, one after the other, beside the other workers of its run; it reports to the scheduler
how they ended."""


class RunCancelled(Exception):  # noqa: N818 - internal: it never reaches a user
    """The run's caller has left: nothing of the run may go on."""


class Runtime(ABC):
    """Executes one run, and no other."""

    is_sync: ClassVar[bool]
    """Whether its coroutines never suspend, and those of the run's memory may not either."""

    event_loop: Any = None
    """The event loop of the run; None in sync code."""

    def __init__(self) -> None:
        self.process = os.getpid()
        """A forked child that goes on with the run has none of its threads, and no reader."""

    @abstractmethod
    async def complete(self, model: Model, request: ModelRequest) -> Completion:
        """Send a request to a model. Raises NodeDeadlineExceeded at the request's deadline."""

    @abstractmethod
    def stream(self, model: Model, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Send a request to a model, and yield its deltas."""

    @abstractmethod
    async def with_deadline(
        self, function: Callable[[], Coroutine[Any, Any, T]], deadline: float | None
    ) -> T:
        """Await what the function returns. Raises NodeDeadlineExceeded."""

    @abstractmethod
    async def call(
        self, function: Callable[[Any], Any], argument: Any, deadline: float | None
    ) -> Any:
        """Call a function, sync or async. Raises NodeDeadlineExceeded."""

    @abstractmethod
    def raise_pending_cancellation(self) -> None:
        """Raise a cancellation of the run's caller again if a node has swallowed it."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    def start(self, worker: Worker) -> None:
        """Run a worker beside the others. Raises NoThreadError."""

    @abstractmethod
    async def join(self) -> None:
        """Wait until all workers have ended."""

    @abstractmethod
    async def cancel_all(self) -> None:
        """Stop the workers that can be stopped."""


def is_async(function: Any) -> bool:
    """Return whether calling the function returns an awaitable, or an async generator."""
    call = getattr(type(function), "__call__", None)  # noqa: B004 - an object's own may be async
    kinds = iscoroutinefunction, isasyncgenfunction
    return any(is_kind(function) or is_kind(call) for is_kind in kinds)


def reject_awaitable(result: Any) -> Any:
    """Return the result of a sync call; what needs an event loop is a WorkflowValidationError."""
    if not hasattr(result, "__await__") and not isinstance(result, AsyncGenerator):
        return result
    close = getattr(result, "close", None)
    if close is not None:
        close()
    raise WorkflowValidationError(
        "execute() and stream() can't await an async function: use await workflow.aexecute(...), "
        "or workflow.astream(...)"
    )
