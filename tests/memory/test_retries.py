"""Which calls of a store are retried until the deadline.

A change that may not be applied twice is never retried if its outcome is unknown.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    FibonacciError,
    MemoryConfig,
    MemoryManager,
    OutcomeUnknownError,
    StorageError,
    Workflow,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address

from .failing_store import FailingStore

VERBS: dict[str, tuple[str, Callable[[MemoryManager], Any]]] = {
    "get": ("read", lambda memory: memory.get("old")),
    "get_many": ("read_many", lambda memory: memory.get_many(["old"])),
    "exists": ("exists", lambda memory: memory.exists("old")),
    "ttl": ("remaining_ttl_ms", lambda memory: memory.ttl("old")),
    "list_keys": ("scan", lambda memory: memory.list_keys()),
    "set": ("write", lambda memory: memory.set("old", 2)),
    "set_many": ("write_many", lambda memory: memory.set_many({"old": 2})),
    "touch": ("touch", lambda memory: memory.touch("old", 60)),
    "clear": ("clear", lambda memory: memory.clear()),
    "delete": ("remove", lambda memory: memory.delete("old")),
    "delete_many": ("remove_many", lambda memory: memory.delete_many(["old"])),
    "add": ("compare_and_set", lambda memory: memory.add("new", 1)),
    "append": ("compare_and_set", lambda memory: memory.append("turns", 1)),
}
READS = {"get", "get_many", "exists", "ttl", "list_keys"}
REPEATED = {"set", "set_many", "touch", "clear"}


@pytest.fixture
def store() -> FailingStore:
    """The store, with one record in it."""
    store = FailingStore()
    Workflow("w", MemoryConfig(store)).memory.set("old", 1)
    return store


@pytest.fixture
def memory(store: FailingStore) -> Iterator[MemoryManager]:
    """A memory with a short timeout."""
    with Workflow("w", MemoryConfig(store, timeout=0.5)) as workflow:
        yield workflow.memory


@pytest.mark.parametrize("verb", VERBS)
def test_unavailable_store_is_retried(verb: str, store: FailingStore, memory: MemoryManager):
    """Every operation succeeds on a store that is unavailable for a moment (C20)."""
    method, call = VERBS[verb]
    expected = call(Workflow("w", MemoryConfig(_with_one_record())).memory)
    store.fail_next(method, BackendUnavailableError("away"), BackendUnavailableError("away"))
    assert call(memory) == expected
    assert store.calls == 3


@pytest.mark.parametrize("verb", sorted(REPEATED))
def test_idempotent_write_is_retried(verb: str, store: FailingStore, memory: MemoryManager):
    """set, set_many, touch and clear are retried if their response was lost (C20)."""
    method, call = VERBS[verb]
    store.fail_next(method, OutcomeUnknownError("lost"))
    assert call(memory) is True
    assert store.calls == 2


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - READS - REPEATED))
def test_change_with_unknown_outcome_is_never_retried(
    verb: str, store: FailingStore, memory: MemoryManager
):
    """A lost response of delete, delete_many, add or append is OutcomeUnknownError (C16, C20)."""
    method, call = VERBS[verb]
    store.fail_next(method, OutcomeUnknownError("lost"))
    with pytest.raises(OutcomeUnknownError):
        call(memory)
    assert store.calls == 1


def test_last_error_is_raised_at_the_deadline(store: FailingStore, memory: MemoryManager):
    """The last error is raised within the timeout, after several attempts (C18)."""
    store.fail_next("read", *[BackendUnavailableError("away")] * 1_000)
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError):
        memory.get("old")
    assert time.monotonic() - start < 1.0
    assert store.calls > 2


def test_unknown_outcome_stays_unknown(store: FailingStore, memory: MemoryManager):
    """set() raises OutcomeUnknownError once a response was lost, whatever retries raise (C18)."""
    away = [BackendUnavailableError("away")] * 1_000
    store.fail_next("write", OutcomeUnknownError("lost"), *away)
    with pytest.raises(OutcomeUnknownError):
        memory.set("old", 2)


class CutOff(LocalStore):
    """A store that refuses the first call, and blocks later ones until the deadline."""

    retry_transient_errors = True

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        self._cut_off(deadline)
        raise BackendUnavailableError("the time ran out")

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        self._cut_off(deadline)
        raise OutcomeUnknownError("the time ran out")

    def _cut_off(self, deadline: float) -> None:
        self.calls += 1
        if self.calls == 1:
            raise BackendUnavailableError("refused")
        time.sleep(max(0, deadline - time.monotonic()) + 0.01)


def test_error_before_the_deadline_is_raised():
    """An error from before the deadline is raised rather than that of the last, cut-off attempt."""
    memory = Workflow("w", MemoryConfig(CutOff(), timeout=0.3)).memory
    with pytest.raises(BackendUnavailableError, match="refused"):
        memory.get("k")


def test_unknown_outcome_at_the_deadline_is_raised():
    """An OutcomeUnknownError of the last, cut-off attempt is raised (C18)."""
    memory = Workflow("w", MemoryConfig(CutOff(), timeout=0.3)).memory
    with pytest.raises(OutcomeUnknownError, match="the time ran out"):
        memory.set("k", 1)


def test_permanent_error_is_not_retried(store: FailingStore, memory: MemoryManager):
    """A StorageError that is not transient, as of a wrong password, is raised at once (C20)."""
    store.fail_next("read", StorageError("wrong password"))
    with pytest.raises(StorageError, match="wrong password"):
        memory.get("old")
    assert store.calls == 1


def test_async_operations_are_retried(store: FailingStore, memory: MemoryManager):
    """Async operations are retried as sync ones are."""
    store.fail_next("read", *[BackendUnavailableError("away")] * 3)
    assert asyncio.run(memory.aget("old")) == 1
    assert store.calls == 4


def test_store_without_transient_errors_is_not_retried():
    """A store with retry_transient_errors=False is called once."""
    store = FailingStore()
    store.retry_transient_errors = False
    memory = Workflow("w", MemoryConfig(store)).memory
    store.fail_next("read", BackendUnavailableError("broken"))
    with pytest.raises(FibonacciError):
        memory.get("old")
    assert store.calls == 1


def _with_one_record() -> LocalStore:
    store = LocalStore()
    Workflow("w", MemoryConfig(store)).memory.set("old", 1)
    return store
