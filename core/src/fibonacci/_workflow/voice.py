"""How a run speaks: what it asks of models and functions, and what it lets go on side by side.

A run is written once, as coroutines that await a voice and a store and nothing else. In the sync
voice both answer at once, and what goes on side by side goes on in threads.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import closing, suppress
from contextvars import copy_context
from functools import partial
from inspect import iscoroutinefunction
from queue import Empty, SimpleQueue
from threading import Lock
from time import monotonic, sleep
from typing import Any, ClassVar, TypeVar, cast

from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.threads import NoThreadError, capture_outcome, submit_to_thread
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta

T = TypeVar("T")

Strand = Coroutine[Any, Any, None]
"""A part of a run that goes on beside the others, and tells the run how it ended."""


Work = Callable[[], Coroutine[Any, Any, T]]
"""A part of a run that is waited for."""


class Overdue(Exception):  # noqa: N818 - never seen outside
    """The deadline passed first."""


class Abandoned(Exception):  # noqa: N818 - never seen outside
    """Nobody waits for the run any more."""


class Voice(ABC):
    """How one run speaks; it serves that run alone."""

    plainly: ClassVar[bool]
    """Whether the memory is asked in the sync voice."""

    @abstractmethod
    async def complete(self, model: Model, request: ModelRequest) -> Completion:
        """Ask a model. Raises Overdue at the request's deadline."""

    @abstractmethod
    def pieces(self, model: Model, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Ask a model, and yield its answer piece by piece."""

    @abstractmethod
    async def within(self, work: Work[T], deadline: float | None) -> T:
        """Do the work. Raises Overdue."""

    @abstractmethod
    async def call(
        self, function: Callable[[Any], Any], argument: Any, deadline: float | None
    ) -> Any:
        """Call a function, plain or async. Raises Overdue."""

    @abstractmethod
    def check(self) -> None:
        """Raise what the run's caller was told to raise, if something kept it from that."""

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    def start(self, strand: Strand) -> None:
        """Let a strand go on beside this one. Raises NoThreadError."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until all strands that were started have ended."""

    @abstractmethod
    async def abandon(self) -> None:
        """Stop the strands, as far as they can be stopped."""


class SyncVoice(Voice):
    """Plain calls; strands run in threads."""

    plainly = True

    def __init__(self) -> None:
        self._lock = Lock()
        self._strands = 0
        self._ended: SimpleQueue[None] = SimpleQueue()

    async def complete(self, model: Model, request: ModelRequest) -> Completion:
        if request.deadline is None:
            return model.complete(request)
        return _bounded(partial(model.complete, request), request.deadline)

    async def pieces(
        self, model: Model, request: ModelRequest
    ) -> AsyncGenerator[TextDelta | Completion]:
        with closing(model.stream(request)) as pieces:
            for piece in pieces:
                yield piece

    async def within(self, work: Work[T], deadline: float | None) -> T:
        if deadline is None:
            return await work()
        return _bounded(lambda: run_sync(work()), deadline)

    async def call(
        self, function: Callable[[Any], Any], argument: Any, deadline: float | None
    ) -> Any:
        if deadline is None:
            return plain_answer(function(argument))
        return plain_answer(_bounded(partial(function, argument), deadline))

    def check(self) -> None:
        """An exception that is meant for a thread is not kept from it."""

    async def pause(self, seconds: float) -> None:
        sleep(seconds)  # noqa: ASYNC251 - the sync voice

    def start(self, strand: Strand) -> None:
        context = copy_context()
        with self._lock:
            self._strands += 1
        try:
            submit_to_thread(lambda: context.run(self._run, strand))
        except NoThreadError:
            with self._lock:
                self._strands -= 1
            raise

    def _run(self, strand: Strand) -> None:
        with suppress(BaseException):  # the schedule has it
            run_sync(strand)
        with self._lock:
            self._strands -= 1
            last = not self._strands
        if last:
            self._ended.put(None)

    async def settle(self) -> None:
        while self._strands:
            self._ended.get()

    async def abandon(self) -> None:
        """No thread can be stopped; a strand looks whether its run was abandoned."""


def is_async(function: Any) -> bool:
    """Say whether calling it returns something to await."""
    called = getattr(type(function), "__call__", None)  # noqa: B004 - an object's own may be async
    return iscoroutinefunction(function) or iscoroutinefunction(called)


def plain_answer(answer: Any) -> Any:
    """Return what a function returned in the sync voice; refuse what would have to be awaited."""
    if not hasattr(answer, "__await__"):
        return answer
    if hasattr(answer, "close"):
        answer.close()
    raise WorkflowValidationError(
        "an async function can't be waited for here: use await workflow.aexecute(...), "
        "or workflow.astream(...)"
    )


def _bounded(work: Callable[[], T], deadline: float) -> T:
    """Do the work in a thread that can be left behind. Raises Overdue."""
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    work_here = partial(copy_context().run, work)
    submit_to_thread(lambda: answers.put(capture_outcome(work_here)))
    try:
        answer, fault = answers.get(timeout=max(0.0, deadline - monotonic()))
    except Empty:
        raise Overdue from None
    if fault is not None:
        raise fault
    return cast(T, answer)
