"""The sync mode: coroutines that are run without a loop, and what becomes of those that wait."""

import inspect
import weakref
from typing import Any

import pytest

from fibonacci import MemoryManager
from fibonacci.plugin._run import run_sync


async def answer(value: Any) -> Any:
    """Return the value."""
    return value


def test_runs_to_the_end() -> None:
    """run returns what the coroutine returns, nested calls too."""

    async def outer() -> int:
        return run_sync(answer(1)) + await answer(2)

    assert run_sync(outer()) == 3


def test_raises_what_the_coroutine_raises() -> None:
    """An exception comes out as it is, and the next call works."""

    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        run_sync(fail())
    assert run_sync(answer(1)) == 1


def test_waiting_is_refused() -> None:
    """A coroutine that suspends is closed and told so."""

    class Wait:
        def __await__(self) -> Any:
            yield

    closed = []

    async def wait() -> None:
        try:
            await Wait()
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="waited for an event loop"):
        run_sync(wait())
    assert closed == [True]
    assert run_sync(answer(1)) == 1


def test_answers_are_not_kept() -> None:
    """Nothing holds an answer once the caller has let go of it: it may be large, or secret."""

    class Answer:
        pass

    answer = Answer()
    gone = weakref.ref(answer)
    run_sync(run_nested(answer))
    del answer
    assert gone() is None


async def run_nested(value: Any) -> Any:
    """Return the value, through a call inside."""
    return run_sync(answer(value))


VERBS = sorted(
    name.removeprefix("a")
    for name in dir(MemoryManager)
    if name.startswith("a") and hasattr(MemoryManager, name.removeprefix("a"))
)


def test_all_verbs() -> None:
    """Each verb exists in sync and async code."""
    assert VERBS == [
        "add", "append", "clear", "close", "delete", "delete_many", "exists", "get", "get_many",
        "increment", "iter_keys", "list_keys", "rewrap", "set", "set_many", "touch", "ttl",
        "update",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_sync_and_async_have_one_signature(verb: str) -> None:
    """A verb and its async twin take the same arguments and say the same of themselves."""
    sync, twin = getattr(MemoryManager, verb), getattr(MemoryManager, f"a{verb}")
    assert [(p.name, p.kind, p.default) for p in inspect.signature(sync).parameters.values()] == [
        (p.name, p.kind, p.default) for p in inspect.signature(twin).parameters.values()
    ]
    assert sync.__name__ == verb
    assert sync.__doc__


def test_default_scope_reads_workflow() -> None:
    """The default of scope reads as the reference has it; its type says which scopes there are."""
    signature = inspect.signature(MemoryManager.get)
    scopes = "Literal['workflow', 'user', 'organization', 'global']"
    assert str(signature).startswith(f"(self, key: str, scope: {scopes} = 'workflow'")
    assert signature.parameters["scope"].default == "workflow"
