"""The in-process store between any two steps of a call: used by a handler, or interrupted.

A handler or a finalizer may run there, and so does what a trace function calls at each opcode.
"""

from collections.abc import Callable
from functools import partial
from itertools import count

import pytest
from stepping import Interrupted, interrupt_at, step_into

from fibonacci import MemoryConfig, Workflow, generate_key
from fibonacci._builtin import local
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci.testing.threads import run_concurrently

pytestmark = pytest.mark.bare  # its trace function takes the place of coverage's

SPACE = Space("p:", "workflow", "w")
KEY = Address(SPACE, "k")
NEVER = float("inf")
FILES = {local.__file__}

CHANGES: dict[str, Callable[[LocalStore], object]] = {
    "write": lambda store: store.write(KEY, b"written", None, deadline=NEVER),
    "write with ttl": lambda store: store.write(KEY, b"brief", 60_000, deadline=NEVER),
    "set": lambda store: store.compare_and_set(KEY, b"0", b"1", KEEP_TTL, deadline=NEVER),
    "add": lambda store: store.compare_and_set(KEY, ABSENT, b"added", 60_000, deadline=NEVER),
    "touch": lambda store: store.touch(KEY, 60_000, deadline=NEVER),
    "remove": lambda store: store.remove(KEY, deadline=NEVER),
    "clear": lambda store: store.clear(SPACE, deadline=NEVER),
}


def in_its_own_thread(work: Callable[[], None]) -> None:
    """Do the work in a thread with its own trace function."""

    def looked_at() -> None:
        trace_all()
        work()

    run_concurrently([looked_at])


def trace_all() -> None:
    """Trace each function once: Python 3.12 reports no steps at the first time."""
    for change in CHANGES.values():
        step_into(partial(change, store_with(b"0")), 0, str, files=FILES)


def store_with(data: bytes | None) -> LocalStore:
    """Return a store with a record or none, expired ones, and an index due for a rebuild."""
    store = LocalStore()
    store.write(Address(SPACE, "gone"), b"", 0, deadline=NEVER)
    store.write(Address(SPACE, "stays"), b"", None, deadline=NEVER)
    store.write(KEY, data or b"", None if data else 0, deadline=NEVER)
    store._index.key_count += 1_000
    return store


def state(store: LocalStore) -> tuple[object, ...]:
    """Return the visible state of the record; check that its listing and its expiry agree."""
    data = store.read(KEY, deadline=NEVER)
    life = store.remaining_ttl_ms(KEY, deadline=NEVER)
    listed = store.scan(SPACE, deadline=NEVER).keys
    assert ("k" in listed) is (data is not None)
    for (space, key), (_, expires) in store._records.items():
        assert key in store._index.spaces[space].all
        assert expires is None or (expires, (space, key)) in store._index.expiry_heap
    return data, life is None, "stays" in listed


def in_turn(first: str, second: str, data: bytes | None) -> tuple[object, object, object]:
    """Return the results of two changes, one after the other, and the state after them."""
    store = store_with(data)
    return CHANGES[first](store), CHANGES[second](store), state(store)


@pytest.mark.parametrize("data", [b"0", None])
@pytest.mark.parametrize("outer", CHANGES)
def test_a_change_during_a_change(outer: str, data: bytes | None) -> None:
    """Two changes of a record, one at any step of the other, act as one after the other."""

    def meet(inner: str) -> None:
        first, second, end = in_turn(outer, inner, data)
        wanted = [([first, second], end)]
        first, second, end = in_turn(inner, outer, data)
        wanted.append(([second, first], end))
        number = 0
        for number in count():
            store = store_with(data)
            answers = step_into(
                partial(CHANGES[outer], store),
                number,
                partial(CHANGES[inner], store),
                files=FILES,
            )
            if len(answers) == 1:
                break
            assert (answers, state(store)) in wanted, (inner, number)
        assert number > 10

    for inner in ("set", "add", "write with ttl", "remove"):
        in_its_own_thread(partial(meet, inner))


@pytest.mark.parametrize("data", [b"0", None])
@pytest.mark.parametrize("change", CHANGES)
def test_an_interrupted_change(change: str, data: bytes | None) -> None:
    """A change that an exception ends at any step is applied or not, and the listing agrees."""

    def meet() -> None:
        store = store_with(data)
        wanted = [state(store)]
        CHANGES[change](store)
        wanted.append(state(store))
        number = 0
        for number in count():
            store = store_with(data)
            answer = interrupt_at(partial(CHANGES[change], store), number, files=FILES)
            assert state(store) in wanted, number
            if not isinstance(answer, Interrupted):
                break
        assert number > 10

    in_its_own_thread(meet)


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_increments_during_an_increment(sealed: bool) -> None:
    """Increments by a signal handler during an increment of the same number all count."""
    key = generate_key() if sealed else None
    config = MemoryConfig(LocalStore(), encrypt_values=sealed, encryption_key=key)
    memory = Workflow("w", config).memory
    memory.set("n", 0)

    def meet() -> None:
        made = 0
        number = 0
        for number in count():
            counted = step_into(
                lambda: memory.increment("n"),
                number,
                lambda: memory.increment("n"),
                files=FILES,
            )
            made += len(counted)
            assert memory.get("n") == made
            if len(counted) == 1:
                break
        assert made > 20

    in_its_own_thread(meet)
