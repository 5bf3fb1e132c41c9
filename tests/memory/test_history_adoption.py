"""Histories that are made of a list of messages or turns."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fibonacci import (
    History,
    MemoryConfig,
    MemoryManager,
    OutcomeUnknownError,
    StorageError,
    Workflow,
    WrongTypeError,
)
from fibonacci.plugin import Address

from .failing_store import FailingStore


def messages(turns: int) -> list[dict[str, Any]]:
    """Return messages of questions and answers."""
    return [
        {"role": role, "content": f"{role} {number} ".ljust(300, "x")}
        for number in range(turns)
        for role in ("user", "assistant")
    ]


@pytest.fixture
def history(memory: MemoryManager) -> History:
    """A history that does not exist yet."""
    return memory.history("chat", user_id="ada")


@pytest.mark.parametrize("turns", [1, 10, 1_000])
def test_list_of_messages(history: History, memory: MemoryManager, turns: int) -> None:
    """A list of messages becomes turns of a question and its answer."""
    memory.set("chat", messages(turns), "user", "ada")
    assert history.adopt() is True
    assert history.messages() == messages(turns)
    assert history.count() == turns
    assert history.add(user="more")
    assert [turn.number for turn in history.turns(limit=2_000)] == list(range(turns + 1))
    assert history.adopt() is False
    history.clear()
    assert memory.list_keys("user", "ada") == []


def test_list_of_turns(history: History, memory: MemoryManager) -> None:
    """Turns without roles become messages with them; either side may be missing."""
    turns = [{"user": "a", "assistant": "b"}, {"user": "c"}, {"user": None, "assistant": "d"}]
    memory.set("chat", turns, "user", "ada")
    assert history.adopt()
    assert history.messages() == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]


def test_messages_that_belong_together(history: History, memory: MemoryManager) -> None:
    """A turn begins with what the user says after an answer: tool calls keep their results."""
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 + 3?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
        {"role": "tool", "tool_call_id": "c", "content": "5"},
        {"role": "assistant", "content": "5"},
        {"role": "user", "content": "And"},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "d", "name": "add"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "d"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "2"}]},
        {"role": "user", "content": [{"type": "text", "text": "Thanks"}]},
    ]
    memory.set("chat", said, "user", "ada")
    assert history.adopt()
    assert [len(turn.messages) for turn in history.turns()] == [5, 5, 1]
    assert history.messages() == said


def test_empty_list(history: History, memory: MemoryManager) -> None:
    """An empty list becomes an empty history, to which turns can be added."""
    memory.set("chat", [], "user", "ada")
    assert history.adopt()
    assert history.count() == 0
    assert memory.histories(user_id="ada")[0].updated_at is None
    assert history.add(user="x")
    assert history.count() == 1


def test_expiry_stays(history: History, memory: MemoryManager) -> None:
    """The history has the list's expiry, and its pages live as long."""
    memory.set("chat", messages(100), "user", "ada", ttl=900)
    assert history.adopt()
    left = [memory.ttl(key, "user", "ada") or 0 for key in memory.list_keys("user", "ada")]
    assert len(left) > 3
    assert 890 < left[0] <= 900
    assert all(left[0] <= each <= 900 + 3_600 for each in left)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "holds no list of messages"),
        ({"role": "user", "content": "x"}, "holds no list of messages"),
        (["x"], "holds no list of messages"),
        ([{"role": "users", "content": "x"}], "the role 'users'"),
        ([{"role": "user", "content": ""}], "message 0 is empty"),
        ([{}], "a turn needs at least one message"),
        ([{"user": "x", "at": 5}], "a turn has the field 'at', which a history has no place for"),
    ],
)
def test_values_that_are_wrong(
    history: History, memory: MemoryManager, value: Any, reason: str
) -> None:
    """A value that is no list of messages stays as it is."""
    memory.set("chat", value, "user", "ada")
    with pytest.raises(WrongTypeError, match=reason):
        history.adopt()
    assert memory.get("chat", "user", "ada") == value
    assert memory.list_keys("user", "ada") == ["chat"]


def test_async_adoption(memory: MemoryManager, history: History) -> None:
    """aadopt() does the same."""
    memory.set("chat", messages(40), "user", "ada")
    assert asyncio.run(history.aadopt()) is True
    assert history.messages() == messages(40)


class Interfering(FailingStore):
    """A store in which something happens before or after the head takes the list's place."""

    def __init__(self) -> None:
        super().__init__()
        self.act: Callable[[str], object] = lambda when: None

    def compare_and_set(self, address: Address, *args: Any, **kwargs: Any) -> bool:
        act, self.act = self.act, lambda when: None
        act("before")
        swapped = super().compare_and_set(address, *args, **kwargs)
        act("after")
        return swapped


@pytest.fixture
def interfering() -> Interfering:
    """An empty store."""
    return Interfering()


@pytest.fixture
def contended(interfering: Interfering) -> MemoryManager:
    """A memory with a list, in that store."""
    memory = Workflow("w", MemoryConfig(interfering, timeout=20)).memory
    memory.set("chat", messages(40), "user", "ada")
    return memory


def test_list_that_grows_meanwhile(interfering: Interfering, contended: MemoryManager) -> None:
    """What is appended to the list while it is adopted is adopted, too, and nothing is left."""

    def act(when: str) -> None:
        if when == "before":
            contended.append("chat", *messages(1), scope="user", user_id="ada")

    interfering.act = act
    history = contended.history("chat", user_id="ada")
    assert history.adopt()
    assert history.messages() == messages(40) + messages(1)
    history.clear()
    assert contended.list_keys("user", "ada") == []


@pytest.mark.parametrize("lost", ["before", "after"])
def test_lost_response(interfering: Interfering, contended: MemoryManager, lost: str) -> None:
    """If the response is lost, the list is adopted once, and adopt() returns True."""

    def act(when: str) -> None:
        if when == lost:
            raise OutcomeUnknownError("lost")

    interfering.act = act
    history = contended.history("chat", user_id="ada")
    assert history.adopt() is True
    assert history.messages() == messages(40)


def test_list_that_two_callers_adopt(interfering: Interfering, contended: MemoryManager) -> None:
    """Of two callers one adopts the list, and the other one returns False."""
    done: list[bool] = []
    history = contended.history("chat", user_id="ada")

    def act(when: str) -> None:
        if when == "before":
            done.append(contended.history("chat", user_id="ada").adopt())

    interfering.act = act
    assert [history.adopt(), *done] == [False, True]
    assert history.messages() == messages(40)


def test_failed_adoption(interfering: Interfering, contended: MemoryManager) -> None:
    """If the store fails, the list stays; the next call adopts it."""

    def act(when: str) -> None:
        if when == "before":
            raise StorageError("no permission")

    history = contended.history("chat", user_id="ada")
    interfering.act = act
    with pytest.raises(StorageError, match="no permission"):
        history.adopt()
    assert contended.get("chat", "user", "ada") == messages(40)
    assert history.adopt()
    assert history.messages() == messages(40)
