"""Histories whose turns are nearly as large as an item may be."""

from collections.abc import Iterator
from typing import Any

import pytest

from fibonacci import (
    History,
    MemoryConfig,
    MemoryManager,
    ValueTooLargeError,
    Workflow,
    generate_key,
)
from fibonacci._memory.history.adoption import serialize_page
from fibonacci._memory.history.layout import Head, Page
from fibonacci._memory.history.page_ttl import new_mark
from fibonacci_dynamodb import schema

from .aws_ledger import Ledger

LONG = "x" * 1_500
"""Content of which two turns fill a page, and four the head."""

JUST_BELOW = 400_000
"""Bytes of a turn that moto stores, too: its own limit of an item is 405,000 bytes."""


@pytest.fixture(params=["plain", "sealed"])
def memory(request: pytest.FixtureRequest, table_url: str) -> Iterator[MemoryManager]:
    """A memory for this test only, plain or sealed."""
    sealed: dict[str, Any] = {"encrypt_values": True, "encryption_key": generate_key()}
    fields = sealed if request.param == "sealed" else {}
    with Workflow(request.node.name, MemoryConfig("dynamodb", table_url, **fields)) as workflow:
        yield workflow.memory


@pytest.fixture
def history(memory: MemoryManager) -> History:
    """A history with pages, whose head is full."""
    history = memory.history("chat", scope="workflow")
    for number in range(8):
        history.add(user=f"{number}", assistant=LONG)
    return history


def said(history: History) -> list[str]:
    """Return what the user said in each turn, oldest first."""
    return [turn.messages[0]["content"] for turn in history.turns()]


def message(length: int) -> dict[str, Any]:
    """Return a message whose content has so many bytes."""
    return {"role": "user", "content": "y" * length}


def is_refused(history: History, length: int) -> bool:
    """Return whether a turn with a content of this length is refused without a request."""
    try:
        history._sync_view._check_turn([message(length)])
    except ValueTooLargeError:
        return True
    return False


def largest(history: History) -> int:
    """Return the length of the largest content that is not refused."""
    return next(
        size for size in range(schema.MAX_ITEM_SIZE, 0, -1) if not is_refused(history, size)
    )


@pytest.mark.parametrize("length", [409_600, 2**20])
def test_turn_over_the_limit_is_refused(
    history: History, memory: MemoryManager, ledger: Ledger, length: int
):
    """A turn that no item has room for is refused when the head was read: nothing is written."""
    keys, before = memory.list_keys(), history.turns()

    def add() -> None:
        with pytest.raises(ValueTooLargeError, match="room for"):
            history.add(message(length))

    assert ledger.count(add) == {"GetItem": 1}
    assert memory.list_keys() == keys
    assert history.turns() == before


def test_turn_just_below_the_limit_is_stored(history: History, memory: MemoryManager):
    """A turn that nearly fills an item is stored, and leaves the head as a page."""
    numbers = [str(number) for number in range(8)]
    history.add(message(JUST_BELOW))
    assert said(history) == [*numbers, "y" * JUST_BELOW]
    history.add(user="next")
    assert history.touch(600)
    assert said(history) == [*numbers, "y" * JUST_BELOW, "next"]
    assert history.count() == 10


def test_turn_is_checked_without_a_request(history: History, ledger: Ledger):
    """The check has the limit of an item, less what a head and its keys need of it."""
    lengths: list[int] = []
    assert ledger.count(lambda: lengths.append(largest(history))) == {}
    assert schema.MAX_ITEM_SIZE - 600 < lengths[0] < schema.MAX_ITEM_SIZE - 200


def test_page_has_room_for_the_largest_turn(history: History):
    """A turn that a head has room for can leave it: its page takes less, though its key is longer.

    So does a page whose ttl was changed, which is marked.
    """
    turn = history._store_turn([message(largest(history))], None)
    page = Page(first=0, before=[], turns=[turn], mark=new_mark())
    records = history._sync_view._records
    records.store.check_size(*serialize_page(records, Head(), page))
