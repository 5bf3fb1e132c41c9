"""Histories in a store that holds only small records: what is too large is refused at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from math import inf
from typing import Any

import pytest

from fibonacci import (
    History,
    InvalidArgumentError,
    MemoryConfig,
    MemoryManager,
    SerializationError,
    StorageError,
    ValueTooLargeError,
    Workflow,
    generate_key,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address

LIMIT = 20_000
"""Bytes that a record may have: far more than a head has if its turns are small."""

LONG = "x" * 1_500
"""Content of which two turns fill a page, and four the head."""

Add = Callable[[History, str], object]


class SmallStore(LocalStore):
    """A store with a low limit, which counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def check_size(self, address: Address, data: bytes) -> None:
        if len(data) > LIMIT:
            raise ValueTooLargeError(f"{address} is too large", size=len(data), limit=LIMIT)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        self.writes += 1
        self.check_size(address, data)
        super().write(address, data, ttl_ms, deadline=deadline)

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        for address, data in items:
            self.write(address, data, ttl_ms, deadline=deadline)

    def compare_and_set(
        self, address: Address, expected: Any, data: bytes, *args: Any, **kwargs: Any
    ) -> bool:
        self.writes += 1
        self.check_size(address, data)
        return super().compare_and_set(address, expected, data, *args, **kwargs)


@pytest.fixture
def store() -> SmallStore:
    """An empty store."""
    return SmallStore()


@pytest.fixture(params=["plain", "sealed"])
def memory(request: pytest.FixtureRequest, store: SmallStore) -> Iterator[MemoryManager]:
    """A memory in the store, plain or sealed."""
    sealed = {"encrypt_values": True, "encryption_key": generate_key()}
    config = MemoryConfig(store, **(sealed if request.param == "sealed" else {}))
    with Workflow("w", config) as workflow:
        yield workflow.memory


@pytest.fixture
def history(memory: MemoryManager) -> History:
    """A history without turns."""
    return memory.history("chat", user_id="ada")


@pytest.fixture(params=["sync", "async"])
def add(request: pytest.FixtureRequest) -> Add:
    """Adds a turn with this content."""
    if request.param == "sync":
        return lambda history, content: history.add(user="q", assistant=content)

    async def aadd(history: History, content: str) -> bool:
        return await history.aadd(user="q", assistant=content)

    return lambda history, content: asyncio.run(aadd(history, content))


def fill(history: History) -> None:
    """Add turns until there are pages, and the head is full: a large turn moves two pages."""
    for number in range(12):
        history.add(user=f"{number}", assistant=LONG)


def head_size(store: SmallStore, history: History) -> int:
    """Return the bytes of the head record."""
    return len(store.read(history._address, deadline=inf) or b"")


def is_refused(call: Callable[[str], object], length: int) -> bool:
    """Call with a content of this length; return whether it is too large."""
    try:
        call("y" * length)
    except ValueTooLargeError:
        return True
    return False


def largest(call: Callable[[str], object]) -> int:
    """Return the length of the largest content that isn't refused."""
    return next(length for length in range(LIMIT, 0, -1) if not is_refused(call, length))


def test_turn_over_the_limit_is_refused_before_anything_is_written(
    store: SmallStore, memory: MemoryManager, history: History, add: Add
) -> None:
    """A turn that the store can't hold leaves head and pages, and writes nothing at all."""
    fill(history)
    writes, keys, before = store.writes, memory.list_keys("user", "ada"), history.turns()
    with pytest.raises(ValueTooLargeError) as caught:
        add(history, "y" * LIMIT)
    assert caught.value.limit == LIMIT < (caught.value.size or 0)
    assert store.writes == writes
    assert memory.list_keys("user", "ada") == keys
    assert history.turns() == before


def test_largest_turn_is_stored(
    store: SmallStore, memory: MemoryManager, history: History, add: Add
) -> None:
    """The limit is exact: a turn is stored whose head has all bytes that a record may have."""
    fill(history)
    writes, keys, before = store.writes, memory.list_keys("user", "ada"), history.turns()
    refused = 0

    def attempt(content: str) -> None:
        nonlocal refused
        refused += 1
        assert store.writes == writes
        add(history, content)

    length = largest(attempt)
    assert refused > 1
    assert head_size(store, history) == LIMIT
    assert len(memory.list_keys("user", "ada")) == len(keys) + 2
    assert history.turns()[:-1] == before
    assert history.turns()[-1].messages[1]["content"] == "y" * length


def test_largest_turn_leaves_the_head_as_a_page(history: History) -> None:
    """What a head could hold, a page can, too, and one whose ttl was changed: nothing is stuck."""
    fill(history)
    length = largest(lambda content: history.add(user="q", assistant=content))
    fill(history)
    assert history.touch(60)
    assert history.turns()[12].messages[1]["content"] == "y" * length
    assert history.count() == 25


def test_first_turn_is_refused(store: SmallStore, memory: MemoryManager, history: History) -> None:
    """A turn that is too large begins no history."""
    with pytest.raises(ValueTooLargeError):
        history.add(user="y" * LIMIT)
    assert memory.list_keys("user", "ada") == []
    assert history.add(user="y")


def test_turn_beside_a_large_summary(
    store: SmallStore, memory: MemoryManager, history: History
) -> None:
    """A summary takes its part of the limit: what is left is the limit of a turn."""
    for _ in range(4):
        fill(history)
    history.compact(lambda _: "s" * 12_000, keep_tokens=5_000, portion_tokens=1_000_000)
    writes, keys = store.writes, memory.list_keys("user", "ada")
    with pytest.raises(ValueTooLargeError):
        history.add(user="y" * 8_000)
    assert store.writes == writes
    assert memory.list_keys("user", "ada") == keys
    largest(lambda content: history.add(user=content))
    assert head_size(store, history) == LIMIT
    assert history.messages()[0]["content"].endswith("s" * 12_000)


def test_summary_over_the_limit_is_not_stored(
    store: SmallStore, memory: MemoryManager, history: History
) -> None:
    """A summary that the head has no room for is refused; the history stays as it is."""
    for _ in range(4):
        fill(history)
    keys, before = memory.list_keys("user", "ada"), history.messages()
    with pytest.raises(ValueTooLargeError):
        history.compact(lambda _: "s" * LIMIT, keep_tokens=10_000, portion_tokens=1_000_000)
    assert memory.list_keys("user", "ada") == keys
    assert history.messages() == before


@pytest.mark.parametrize("after", [0, 1], ids=["of the head", "of a page"])
def test_list_with_a_turn_over_the_limit_is_not_adopted(
    store: SmallStore, memory: MemoryManager, history: History, after: int
) -> None:
    """A list fits into a record, but one of its turns into none: no page of it is written."""

    def write(content: str) -> None:
        turns = [{"user": "first"}, {"user": content}, *[{"user": "last"}] * after]
        memory.set("chat", turns, "user", "ada")

    largest(write)
    writes, before = store.writes, memory.get("chat", scope="user", user_id="ada")
    with pytest.raises(ValueTooLargeError):
        history.adopt()
    assert store.writes == writes
    assert memory.get("chat", scope="user", user_id="ada") == before


def test_turn_is_checked_before_it_is_added(
    store: SmallStore, memory: MemoryManager, history: History
) -> None:
    """A check without a request has the limit of a new history's first turn, to the byte."""

    def check(content: str) -> None:
        history._sync_view._check_turn([{"role": "user", "content": content}])

    length = largest(check)
    assert store.writes == 0
    assert is_refused(lambda content: history.add(user=content), length + 1)
    assert memory.list_keys("user", "ada") == []
    assert history.add(user="y" * length)
    assert head_size(store, history) == LIMIT


def test_turn_is_checked_in_async_code(store: SmallStore, history: History) -> None:
    """A running event loop may check a turn, too."""

    async def check(content: str) -> None:
        history._sync_view._check_turn([{"role": "user", "content": content}])

    asyncio.run(check("y"))
    with pytest.raises(ValueTooLargeError):
        asyncio.run(check("y" * LIMIT))
    assert store.writes == 0


def test_check_of_a_turn_changes_no_message(history: History) -> None:
    """A turn of several messages that may be added is checked, and stays as it is."""
    turn: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
        {"role": "tool", "tool_call_id": "c", "content": "5"},
    ]
    before = deepcopy(turn)
    history._sync_view._check_turn(turn)
    assert turn == before
    assert history.count() == 0


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], InvalidArgumentError),
        ([{"role": "nobody", "content": "x"}], InvalidArgumentError),
        ([{"role": "user", "content": "x", "at": object()}], SerializationError),
        ([{"role": "user", "content": "y" * 2**24}], ValueTooLargeError),
    ],
)
def test_check_of_a_turn_raises_what_add_raises(
    history: History, messages: list[Any], error: type[Exception]
) -> None:
    """What add() would refuse in any case is refused with the same error."""
    with pytest.raises(error) as added:
        history.add(*messages)
    with pytest.raises(error) as checked:
        history._sync_view._check_turn(messages)
    assert str(checked.value) == str(added.value)


def test_check_of_a_closed_memory(store: SmallStore) -> None:
    """A memory that was closed checks nothing."""
    with Workflow("w", MemoryConfig(store)) as workflow:
        history = workflow.memory.history("chat", user_id="ada")
    with pytest.raises(StorageError, match="closed"):
        history._sync_view._check_turn([{"role": "user", "content": "x"}])
