"""What is asked again of a store, and what is not: until the deadline, and never a lost change."""

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


class Failing(LocalStore):
    """A store whose faults are set by the test: the next calls of one method raise them."""

    retry_transient_errors = True

    def __init__(self) -> None:
        super().__init__()
        self.method = ""
        self.faults: list[Exception] = []
        self.calls = 0

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "__dict__").get("method"):
            self.calls += 1
            if self.faults:
                raise self.faults.pop(0)
        return super().__getattribute__(name)


@pytest.fixture
def store() -> Failing:
    """The store, with one record in it."""
    store = Failing()
    Workflow("w", MemoryConfig(store)).memory.set("old", 1)
    return store


@pytest.fixture
def memory(store: Failing) -> Iterator[MemoryManager]:
    """A memory with a short timeout."""
    with Workflow("w", MemoryConfig(store, timeout=0.5)) as workflow:
        yield workflow.memory


def failing(store: Failing, method: str, *faults: Exception) -> None:
    store.method, store.faults, store.calls = method, list(faults), 0


@pytest.mark.parametrize("verb", VERBS)
def test_what_was_surely_not_done_is_asked_again(verb: str, store: Failing, memory: MemoryManager):
    """A store that is away for a moment is not noticed by any verb (C20)."""
    method, call = VERBS[verb]
    expected = call(Workflow("w", MemoryConfig(_with_one_record())).memory)
    failing(store, method, BackendUnavailableError("away"), BackendUnavailableError("away"))
    assert call(memory) == expected
    assert store.calls == 3


@pytest.mark.parametrize("verb", sorted(REPEATED))
def test_what_may_be_done_twice_is_asked_again(verb: str, store: Failing, memory: MemoryManager):
    """set, set_many, touch and clear are repeated where their answer was lost (C20)."""
    method, call = VERBS[verb]
    failing(store, method, OutcomeUnknownError("lost"))
    assert call(memory) is True
    assert store.calls == 2


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - READS - REPEATED))
def test_a_lost_change_is_never_asked_again(verb: str, store: Failing, memory: MemoryManager):
    """A delete, an add or a compare-and-set whose answer was lost says so (C16, C20)."""
    method, call = VERBS[verb]
    failing(store, method, OutcomeUnknownError("lost"))
    with pytest.raises(OutcomeUnknownError):
        call(memory)
    assert store.calls == 1


def test_a_store_that_stays_away_is_told_by_the_deadline(store: Failing, memory: MemoryManager):
    """The last fault is raised, after several attempts and within the timeout (C18)."""
    failing(store, "read", *[BackendUnavailableError("away")] * 1_000)
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError):
        memory.get("old")
    assert time.monotonic() - start < 1.0
    assert store.calls > 2


def test_what_may_have_been_applied_stays_so(store: Failing, memory: MemoryManager):
    """After a lost answer, a store that is away does not make a set "surely not applied" (C18)."""
    away = [BackendUnavailableError("away")] * 1_000
    failing(store, "write", OutcomeUnknownError("lost"), *away)
    with pytest.raises(OutcomeUnknownError):
        memory.set("old", 2)


class CutOff(LocalStore):
    """A store that is away, and whose second attempt at anything takes until the deadline."""

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


def test_the_deadline_hides_no_cause():
    """An attempt that the deadline cuts off is not told instead of what was wrong before."""
    memory = Workflow("w", MemoryConfig(CutOff(), timeout=0.3)).memory
    with pytest.raises(BackendUnavailableError, match="refused"):
        memory.get("k")


def test_the_deadline_hides_no_doubt():
    """But where a write may have been applied, that is told (C18)."""
    memory = Workflow("w", MemoryConfig(CutOff(), timeout=0.3)).memory
    with pytest.raises(OutcomeUnknownError, match="the time ran out"):
        memory.set("k", 1)


def test_a_fault_that_stays_is_not_waited_for(store: Failing, memory: MemoryManager):
    """A wrong password does not become right: other StorageErrors are raised at once (C20)."""
    failing(store, "read", StorageError("wrong password"))
    with pytest.raises(StorageError, match="wrong password"):
        memory.get("old")
    assert store.calls == 1


def test_the_loop_goes_on_while_a_store_is_waited_for(store: Failing, memory: MemoryManager):
    """In the async mode the pauses are awaited, and end with the same answer."""
    failing(store, "read", *[BackendUnavailableError("away")] * 3)
    assert asyncio.run(memory.aget("old")) == 1
    assert store.calls == 4


def test_a_store_in_the_process_is_asked_once():
    """A store that says that its faults do not pass is not asked again."""
    store = Failing()
    store.retry_transient_errors = False
    memory = Workflow("w", MemoryConfig(store)).memory
    failing(store, "read", BackendUnavailableError("broken"))
    with pytest.raises(FibonacciError):
        memory.get("old")
    assert store.calls == 1


def _with_one_record() -> LocalStore:
    store = LocalStore()
    Workflow("w", MemoryConfig(store)).memory.set("old", 1)
    return store
