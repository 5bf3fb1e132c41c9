"""The life of a memory: opened, shared, used from everywhere, closed."""

from functools import partial
from typing import Any

import pytest

from fibonacci import MemoryManager, StorageError
from fibonacci.testing.modes import CallMode
from fibonacci.testing.store.bench import Bench, Opener, shut
from fibonacci.testing.store.spoken import Raw, call, together
from fibonacci.testing.threads import in_threads


class Life(Bench):
    """C21 and C22."""

    def test_closed(self, opener: Opener, mode: CallMode) -> None:
        """After close every verb raises StorageError; closing twice is fine (C22)."""
        workflow = opener.workflow()
        memory = opener.speak(workflow)
        view = memory.for_user("u")
        memory.set("k", 1)
        shut(workflow, mode)
        shut(workflow, mode)
        with pytest.raises(StorageError):
            memory.get("k", default="default")
        with pytest.raises(StorageError):
            memory.set("k", 2)
        with pytest.raises(StorageError):
            memory.list_keys()
        with pytest.raises(StorageError):
            view.get("k")

    def test_closed_unused(self, opener: Opener, mode: CallMode) -> None:
        """A memory that was never used can be closed (C22)."""
        workflow = opener.workflow(timeout=self.timeout + 1)
        shut(workflow, mode)

    def test_shared(self, opener: Opener) -> None:
        """Workflows of the same name share their memory, others only the wider scopes (C22)."""
        one, same, other = opener.memory(), opener.memory(), opener.memory("other")
        one.set("k", 1)
        one.set("k", 2, scope="global")
        one.set("k", 3, scope="user", user_id="u")
        assert same.get("k") == 1
        assert other.get("k") is None
        assert other.get("k", scope="global") == 2
        assert other.get("k", scope="user", user_id="u") == 3

    def test_closing_one(self, opener: Opener, mode: CallMode) -> None:
        """Closing one of two workflows leaves the other working (C22)."""
        settings: dict[str, Any] = {
            "timeout": self.timeout + 2
        }  # so that they share a store of their own
        one, other = opener.workflow(**settings), opener.workflow(**settings)
        opener.speak(one).set("k", 1)
        memory = opener.speak(other)
        assert memory.get("k") == 1
        shut(one, mode)
        assert memory.get("k") == 1
        assert memory.increment("k") == 2

    def test_records_outlive_workflows(self, opener: Opener, mode: CallMode) -> None:
        """What a workflow wrote is there for the next, after the store was closed (C22)."""
        settings: dict[str, Any] = {"timeout": self.timeout + 3}
        first = opener.workflow(**settings)
        opener.speak(first).set("k", [1], ttl=60)
        shut(first, mode)
        memory = opener.memory(**settings)
        assert memory.get("k") == [1]
        assert memory.append("k", 2) == 2
        assert memory.list_keys() == ["k"]

    def test_made_again_and_again(self, opener: Opener, mode: CallMode) -> None:
        """A store may be opened and closed many times (C22)."""
        for number in range(10):
            workflow = opener.workflow(timeout=self.timeout + 4)
            assert opener.speak(workflow).increment("k") == number + 1
            shut(workflow, mode)

    def test_event_loops_in_a_row(self, opener: Opener, mode: CallMode) -> None:
        """One memory serves several event loops, one after the other, and then the first (C21)."""
        workflow = opener.workflow()
        first = opener.speak(workflow)
        first.increment("k")
        for number in range(3):
            with mode.fresh() as fresh:
                memory = opener.speak(workflow, fresh)
                assert memory.increment("k") == number + 2
                assert together(memory, [call("get", "k")] * 16) == [number + 2] * 16
        assert first.get("k") == 4

    def test_threads(self, opener: Opener, mode: CallMode) -> None:
        """One memory serves many threads at once, each with an event loop of its own (C21)."""
        workflow = opener.workflow()

        def work(number: int) -> None:
            with mode.fresh() as own:
                memory = opener.speak(workflow, own)
                for turn in range(10):
                    memory.set(f"k{number}", [number, turn])
                    assert memory.get(f"k{number}") == [number, turn]
                    memory.increment("n")

        in_threads([partial(work, number) for number in range(6)])
        memory = opener.speak(workflow)
        assert memory.get("n") == 60
        assert memory.get_many([f"k{number}" for number in range(6)]) == {
            f"k{number}": [number, 9] for number in range(6)
        }

    def test_lists_in_threads(self, memory: MemoryManager, raw: Raw) -> None:
        """Listings, batches and changes at the same time don't disturb each other (C21)."""
        memory.set_many({f"k{number}": number for number in range(20)})
        answers = together(
            memory,
            [
                call("list_keys", pattern="k*"),
                call("get_many", ["k1", "k2"]),
                call("set_many", {"x": 1, "y": 2}),
                call("delete_many", ["x", "y"]),
                call("exists", "k3"),
                call("ttl", "absent"),
            ]
            * 10,
        )
        assert answers[0::6] == [sorted(f"k{number}" for number in range(20))] * 10
        assert answers[1::6] == [{"k1": 1, "k2": 2}] * 10
        assert answers[4::6] == [True] * 10
        assert answers[5::6] == [None] * 10
        assert raw.read(raw.address("k3")) == b"3"
