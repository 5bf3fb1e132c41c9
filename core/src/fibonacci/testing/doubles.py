"""Test doubles for an application's tests: a memory that is thrown away, and scripted models.

Nothing of this needs pytest.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from fibonacci import MemoryManager, Workflow
from fibonacci._builtin.local import LocalBackend, create_local_store
from fibonacci._builtin.stop_sequences import truncate_at_stop
from fibonacci._memory.store_handle import override_backend
from fibonacci._workflow.overrides import install_override
from fibonacci.errors import InvalidArgumentError, ModelError
from fibonacci.plugin.models import Completion, Model, ModelRequest

T = TypeVar("T")
M = TypeVar("M", bound=str | Model | Callable[[ModelRequest], Any])


class ScriptedModel(Model):
    """Returns one completion after the other, and records the requests.

    One request more than there are completions raises ModelError. The model takes every option, and
    serves all threads and event loops; nodes that run in parallel get the completions in the order
    of their requests.

    Args:
        *completions: what each request gets, in order: a text or a Completion is returned, an
            exception is raised.

    Attributes:
        completions: as they were passed.
        requests: the requests so far, in order: a list of ModelRequest.

    Raises InvalidArgumentError.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset(("temperature", "stop", "messages"))

    def __init__(self, *completions: str | Completion | Exception) -> None:
        for item in completions:
            if not isinstance(item, str | Completion | Exception):
                raise InvalidArgumentError(
                    "ScriptedModel takes texts, Completions and exceptions as arguments, such as "
                    f"ScriptedModel('Hello', 'Bye'); one is of type {type(item).__name__}"
                )
        self.completions = completions
        self.requests: list[ModelRequest] = []
        self._lock = Lock()

    def complete(self, request: ModelRequest) -> Completion:
        with self._lock:
            index = len(self.requests)
            self.requests.append(request)
        if index >= len(self.completions):
            raise ModelError(
                f"the script has {len(self.completions)} completions, and got one more request"
            )
        item = self.completions[index]
        if isinstance(item, Exception):
            raise item
        return truncate_at_stop(item, request.stop) if isinstance(item, str) else item

    async def acomplete(self, request: ModelRequest) -> Completion:
        return self.complete(request)


def override_model(name: str, model: M) -> AbstractContextManager[M]:
    """Use another model, a function, or a model of another name for this name; return it.

    Every workflow of the process sends it the requests of nodes with this ``model=``. The provider
    of the name need not be installed, and needs no key. The last of several overrides that match is
    used. A run that has started goes on with its models.

    Args:
        name: the ``model=`` of the nodes, or a pattern of ``fnmatch`` for several: "claude-*", or
            "*" for all.
        model: what gets their requests: a Model, a function of the ModelRequest, or a model's name.

    Raises InvalidArgumentError, PluginError or ConfigurationError when ``with`` is entered.
    """

    @contextmanager
    def override() -> Iterator[M]:
        with install_override(name, model):
            yield model

    return _OnlyWith(override())


def fresh_memory() -> AbstractContextManager[MemoryManager]:
    """Use an empty in-process store for every memory of the process, until the end of ``with``.

    This includes existing workflows and those created meanwhile, whatever their MemoryConfig:
    nothing connects to a server. They share one store, as workflows with equal settings do, and
    its data is deleted at the end. Settings are still checked, and values encrypted. The returned
    memory is that of a workflow "test", which can read the other scopes.
    """

    @contextmanager
    def fresh() -> Iterator[MemoryManager]:
        with override_backend(LocalBackend(create_local_store())), Workflow("test") as workflow:
            yield workflow.memory

    return _OnlyWith(fresh())


class _OnlyWith(AbstractContextManager[T]):
    """A context manager that can't be a decorator: it would exit before an async test starts."""

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
