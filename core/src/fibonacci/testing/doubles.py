"""Test doubles for an application's tests: a memory that is thrown away, and scripted models.

Nothing of this needs pytest.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from fibonacci import MemoryManager, Workflow
from fibonacci._builtin.local import LocalBackend, new_store
from fibonacci._builtin.stops import up_to_stop
from fibonacci._memory.sharing import substituted
from fibonacci._workflow.overrides import overridden
from fibonacci.errors import InvalidArgumentError, ModelError
from fibonacci.plugin.models import Completion, Model, ModelRequest

T = TypeVar("T")
M = TypeVar("M", bound=str | Model | Callable[[ModelRequest], Any])


class ScriptedModel(Model):
    """Gives one answer after the other, and keeps what it was asked.

    A text or a Completion is the answer; an exception is raised. Whoever asks once more than there
    are answers gets a ModelError. It takes all that any model may take, and serves all threads and
    event loops; nodes that run side by side take their answers in the order in which they ask.

    Raises InvalidArgumentError.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset(("temperature", "stop"))

    def __init__(self, *answers: str | Completion | Exception) -> None:
        for one in answers:
            if not isinstance(one, str | Completion | Exception):
                raise InvalidArgumentError(
                    "ScriptedModel takes texts, Completions and exceptions, one by one, such as "
                    f"ScriptedModel('Hello', 'Bye'); one is of type {type(one).__name__}"
                )
        self.answers = answers
        self.requests: list[ModelRequest] = []
        """What it was asked so far, in order."""
        self._lock = Lock()

    def complete(self, request: ModelRequest) -> Completion:
        with self._lock:
            turn = len(self.requests)
            self.requests.append(request)
        if turn >= len(self.answers):
            raise ModelError(
                f"the script has {len(self.answers)} answers, and was asked for one more"
            )
        answer = self.answers[turn]
        if isinstance(answer, Exception):
            raise answer
        return up_to_stop(answer, request.stop) if isinstance(answer, str) else answer

    async def acomplete(self, request: ModelRequest) -> Completion:
        return self.complete(request)


def override_model(name: str, model: M) -> AbstractContextManager[M]:
    """Have a model, a function or a model of another name answer to this name; return it.

    Every workflow of the process asks it where a node says ``model="claude-sonnet-5-5"`` and the
    name is that one, or matches a pattern as of ``fnmatch``: ``"claude-*"``, or ``"*"`` for all.
    The provider that the name belongs to need not be installed and needs no key. Of several that
    match, the one that came last answers. A run that has begun goes on with the models that it
    has.

    Raises InvalidArgumentError, PluginError or ConfigurationError, as ``with`` is entered.
    """

    @contextmanager
    def override() -> Iterator[M]:
        with overridden(name, model):
            yield model

    return _OnlyWith(override())


def fresh_memory() -> AbstractContextManager[MemoryManager]:
    """Have every memory of the process be empty and in this process, until the end of ``with``.

    It holds for workflows that exist and for those that are made meanwhile, whatever their
    MemoryConfig says: nothing is connected to. They share one store, as workflows with equal
    settings do, and the data is gone at the end. Settings are checked as ever, values sealed.
    The memory that is returned is that of a workflow "test", to look at other scopes with.
    """

    @contextmanager
    def fresh() -> Iterator[MemoryManager]:
        with substituted(LocalBackend(new_store())), Workflow("test") as workflow:
            yield workflow.memory

    return _OnlyWith(fresh())


class _OnlyWith(AbstractContextManager[T]):
    """A context manager that is no decorator: it would end before an async test begins."""

    def __init__(self, inner: AbstractContextManager[T]) -> None:
        self._inner = inner

    def __enter__(self) -> T:
        return self._inner.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._inner.__exit__(exc_type, exc, traceback)
