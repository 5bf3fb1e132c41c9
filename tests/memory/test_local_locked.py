"""The in-process store with threads that run in parallel, on a Python without a GIL."""

import sys
from collections.abc import Callable
from threading import Event, Thread

import pytest
from forks import in_child

from fibonacci import MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore, create_local_store
from fibonacci._builtin.locked import LockedStore
from fibonacci.plugin import Address, Space

SPACE = Space("p:", "workflow", "w")
ADDRESS = Address(SPACE, "k")
NEVER = float("inf")


class Meanwhile(int):
    """Milliseconds that call a function when they are first read, in mid-call."""

    todo: Callable[[], object]

    def __truediv__(self, other: object) -> float:
        self.todo()
        return int(self) / 1000


def during_a_write(store: LocalStore, todo: Callable[[], object]) -> None:
    ttl = Meanwhile(60_000)
    ttl.todo = todo
    store.write(ADDRESS, b"first", ttl, deadline=NEVER)


@pytest.mark.parametrize(("enabled", "kind"), [(True, LocalStore), (False, LockedStore)])
def test_the_store_locks_without_a_gil(monkeypatch, enabled: bool, kind: type):
    """A build without a GIL gets the store with a lock; the others do without."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: enabled, raising=False)
    assert type(create_local_store()) is kind
    memory = Workflow("w", MemoryConfig(connection_url=f"memory://gil-{enabled}")).memory
    assert memory.add("n", 1)
    assert memory.increment("n", 2) == 3
    assert memory.append("turns", "a", ttl=60) == 1
    assert memory.touch("turns", 90)
    assert memory.list_keys() == ["n", "turns"]
    assert memory.delete("n")
    assert memory.clear()
    assert memory.list_keys() == []


@pytest.mark.parametrize(
    "verb",
    [
        lambda store: store.write(ADDRESS, b"second", None, deadline=NEVER),
        lambda store: store.compare_and_set(ADDRESS, b"first", b"second", None, deadline=NEVER),
        lambda store: store.remove(ADDRESS, deadline=NEVER),
        lambda store: store.touch(ADDRESS, None, deadline=NEVER),
        lambda store: store.clear(SPACE, deadline=NEVER),
        lambda store: store.scan(SPACE, deadline=NEVER),
    ],
    ids=["write", "compare_and_set", "remove", "touch", "clear", "scan"],
)
def test_one_thread_at_a_time(verb: Callable[[LocalStore], object]):
    """A change in another thread waits for a change that has begun."""
    store, done = LockedStore(), Event()
    other = Thread(target=lambda: (verb(store), done.set()))

    def start() -> None:
        other.start()
        assert not done.wait(0.02)

    during_a_write(store, start)
    other.join(10)
    assert done.is_set()


def test_a_thread_does_not_block_itself():
    """A signal handler in mid-call gets the lock, and the interrupted change is applied last."""
    store = LockedStore()
    during_a_write(store, lambda: store.write(ADDRESS, b"second", None, deadline=NEVER))
    assert store.read(ADDRESS, deadline=NEVER) == b"first"


def test_a_child_that_was_forked_in_mid_call_can_write():
    """A forked child is not blocked by a lock that another thread of its parent holds."""
    store, begun, over = LockedStore(), Event(), Event()
    other = Thread(target=during_a_write, args=(store, lambda: (begun.set(), over.wait(60))))
    other.start()
    assert begun.wait(10)
    in_child(lambda: store.write(ADDRESS, b"mine", None, deadline=NEVER) is None)
    over.set()
    other.join(10)
