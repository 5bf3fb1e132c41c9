"""Changes by many at once: none is lost, none is applied twice."""

from collections import Counter
from typing import Any, cast

import pytest

from fibonacci import InvalidArgumentError, MemoryManager, WrongTypeError
from fibonacci.testing.store.bench import Bench
from fibonacci.testing.store.spoken import Spoken, call, together


class Atomic(Bench):
    """C16: the verbs."""

    def test_increments(self, memory: MemoryManager) -> None:
        """Of many increments at the same time each counts once, and none twice (C16)."""
        answers = together(memory, [call("increment", "n")] * 120)
        assert memory.get("n") == 120
        assert sorted(answers) == list(range(1, 121))

    def test_appends(self, memory: MemoryManager) -> None:
        """Of many appends at the same time each item is in the list once (C16)."""
        answers = together(memory, [call("append", "list", number) for number in range(120)])
        assert sorted(memory.get("list")) == list(range(120))
        assert sorted(answers) == list(range(1, 121))

    def test_adds(self, memory: MemoryManager) -> None:
        """Of many who add the same record one succeeds, and its value stays (C16)."""
        for record in range(8):
            answers = together(memory, [call("add", f"k{record}", number) for number in range(16)])
            assert Counter(answers)[True] == 1
            assert memory.get(f"k{record}") == answers.index(True)

    def test_updates(self, memory: MemoryManager) -> None:
        """Of many updates at the same time none is lost, however often one is tried (C16)."""

        def grow(value: list[int]) -> list[int]:
            return [*value, len(value)]

        memory.set("k", [])
        together(memory, [call("update", "k", grow)] * 80)
        assert memory.get("k") == list(range(80))

    def test_different_records(self, memory: MemoryManager) -> None:
        """Many records changed at the same time don't get into one another (C16, C21)."""
        together(
            memory, [call("increment", f"n{number % 10}", number % 10) for number in range(200)]
        )
        assert memory.get_many([f"n{number}" for number in range(10)]) == {
            f"n{number}": number * 20 for number in range(10)
        }

    def test_deletes(self, memory: MemoryManager) -> None:
        """Of many who delete the same record one is told True (C14, C16)."""
        for _ in range(5):
            memory.set("k", 1)
            answers = together(memory, [call("delete", "k")] * 16)
            assert Counter(answers) == {True: 1, False: 15}

    def test_touch_loses_no_change(self, memory: MemoryManager) -> None:
        """Touching a record that others change takes no change back (C16)."""
        memory.set("n", 0)
        touch = call("touch", "n", 60)
        together(memory, [call("increment", "n"), touch, touch] * 40)
        assert memory.get("n") == 40

    def test_own_answers(self, memory: MemoryManager) -> None:
        """Each of many readers gets the value that was asked for (C21)."""
        memory.set_many({f"k{number}": number for number in range(20)})
        asked = [number % 20 for number in range(300)]
        answers = together(memory, [call("get", f"k{number}") for number in asked])
        assert answers == asked

    def test_increment_numbers(self, memory: MemoryManager) -> None:
        """Ints stay ints, of any size, and floats make floats (C7, C16)."""
        assert repr(memory.increment("n")) == "1"
        assert repr(memory.increment("n", -3)) == "-2"
        assert repr(memory.increment("n", 2**70)) == repr(2**70 - 2)
        assert repr(memory.increment("x", 0.5)) == "0.5"
        assert repr(memory.increment("x", 1)) == "1.5"

    def test_append_keeps_the_newest(self, memory: MemoryManager) -> None:
        """Append adds each item as one element, and keeps the newest max_items (C16)."""
        assert memory.append("list", 1, [2], None) == 3
        assert memory.append("list", 4, max_items=2) == 2
        assert memory.get("list") == [None, 4]
        assert memory.append("list", 5, 6, 7, max_items=2) == 2
        assert memory.get("list") == [6, 7]

    def test_wrong_type(self, memory: MemoryManager) -> None:
        """Append and increment refuse a value of another type, and leave it (C16)."""
        memory.set("text", "abc", ttl=60)
        memory.set("flag", True)
        with pytest.raises(WrongTypeError):
            memory.append("text", "d")
        for key in ("text", "flag"):
            with pytest.raises(WrongTypeError):
                memory.increment(key)
        assert memory.get_many(["text", "flag"]) == {"text": "abc", "flag": True}

    def test_update_passes_errors_on(self, memory: MemoryManager) -> None:
        """What the function of an update raises passes through, and nothing is written (C16)."""
        memory.set("n", 0)
        with pytest.raises(ZeroDivisionError):
            memory.update("n", lambda value: 1 / value)
        assert memory.get("n") == 0

    def test_update_in_update(self, memory: MemoryManager) -> None:
        """A record that changes in the midst of an update is updated from its new value (C16)."""
        other = iter([10, 20])

        def change(value: int) -> int:
            for new in other:
                inner.set("n", new)
                break
            return value + 1

        inner = cast(Spoken, memory).plain
        memory.set("n", 0)
        assert memory.update("n", change) == 21
        assert memory.get("n") == 21

    def test_refused_before_asking(self, memory: MemoryManager) -> None:
        """Append without items, and update without a function, are refused (C16)."""
        with pytest.raises(InvalidArgumentError):
            memory.append("k")
        with pytest.raises(InvalidArgumentError):
            memory.update("k", cast(Any, None))
        with pytest.raises(InvalidArgumentError):
            memory.increment("k", True)
        assert memory.list_keys() == []
