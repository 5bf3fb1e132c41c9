"""Changes by many at once: none is lost, none is applied twice."""

from collections import Counter
from typing import cast

from fibonacci import MemoryManager
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
