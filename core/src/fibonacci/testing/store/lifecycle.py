"""A memory's lifecycle: opened, shared by threads, event loops and forks, closed."""

import asyncio
import gc
import os
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import cycle, takewhile
from threading import Event, Thread
from typing import Any, cast

import pytest

from fibonacci import MemoryManager, StorageError
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.differences import difference
from fibonacci.testing.forks import NO_FORK, forked
from fibonacci.testing.modes import AsyncMode, CallMode
from fibonacci.testing.store.fixtures import (
    ContractFixtures,
    MemoryFactory,
    StoreUnderTest,
    call,
    call_concurrently,
    close_workflow,
)
from fibonacci.testing.store.io_audit import OPEN_FILES
from fibonacci.testing.threads import run_concurrently


class LifecycleTests(ContractFixtures):
    """C21 and C22."""

    def test_closed_memory(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """After close every method raises StorageError; closing twice is fine (C22)."""
        workflow = memory_factory.new_workflow()
        memory = memory_factory.memory_of(workflow)
        view = memory.for_user("u")
        memory.set("k", 1)
        close_workflow(workflow, mode)
        close_workflow(workflow, mode)
        with pytest.raises(StorageError):
            memory.get("k", default="default")
        with pytest.raises(StorageError):
            memory.set("k", 2)
        with pytest.raises(StorageError):
            memory.list_keys()
        with pytest.raises(StorageError):
            view.get("k")

    def test_close_unused_memory(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """A memory that was never used can be closed (C22)."""
        workflow = memory_factory.new_workflow(timeout=self.timeout + 1)
        close_workflow(workflow, mode)

    def test_shared_memory(self, memory_factory: MemoryFactory) -> None:
        """Workflows of the same name share their memory, others only the wider scopes (C22)."""
        one, same, other = (
            memory_factory.new_memory(),
            memory_factory.new_memory(),
            memory_factory.new_memory("other"),
        )
        one.set("k", 1)
        one.set("k", 2, scope="global")
        one.set("k", 3, scope="user", user_id="u")
        assert same.get("k") == 1
        assert other.get("k") is None
        assert other.get("k", scope="global") == 2
        assert other.get("k", scope="user", user_id="u") == 3

    def test_close_one_of_two(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """Closing one of two workflows leaves the other working (C22)."""
        settings: dict[str, Any] = {
            "timeout": self.timeout + 2
        }  # so that they share a store of their own
        one, other = (
            memory_factory.new_workflow(**settings),
            memory_factory.new_workflow(**settings),
        )
        memory_factory.memory_of(one).set("k", 1)
        memory = memory_factory.memory_of(other)
        assert memory.get("k") == 1
        close_workflow(one, mode)
        assert memory.get("k") == 1
        assert memory.increment("k") == 2

    def test_records_outlive_workflows(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """Records are there for the next workflow after the store was closed (C22)."""
        settings: dict[str, Any] = {"timeout": self.timeout + 3}
        first = memory_factory.new_workflow(**settings)
        memory_factory.memory_of(first).set("k", [1], ttl=60)
        close_workflow(first, mode)
        memory = memory_factory.new_memory(**settings)
        assert memory.get("k") == [1]
        assert memory.append("k", 2) == 2
        assert memory.list_keys() == ["k"]

    def test_repeated_opening(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """A store may be opened and closed many times (C22)."""
        for number in range(10):
            workflow = memory_factory.new_workflow(timeout=self.timeout + 4)
            assert memory_factory.memory_of(workflow).increment("k") == number + 1
            close_workflow(workflow, mode)

    def test_closed_store(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """A closed store leaves no thread, task or open file; closing it twice is fine (C22)."""
        memory_factory.settings()  # a Store object is not closed here
        threads = set(threading.enumerate())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            _use_and_close(memory_factory, mode, self.timeout + 5)
            gc.collect()
        assert [str(one.message) for one in caught] == []
        assert _left_by(lambda: set(threading.enumerate()) - threads - _idle_workers()) == set()
        if isinstance(mode, AsyncMode):
            assert _left_by(lambda: mode.run(_other_tasks)) == set()

    def test_files_of_closed_stores(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """A store that is opened and closed again and again leaves no file or socket open (C22)."""
        memory_factory.settings()  # a Store object is not closed here
        if not os.path.isdir(OPEN_FILES):
            not_applicable("this system does not list the files that a process has open")
        counts: list[int] = []
        for _ in range(4):
            # One call at a time: SQLite keeps files for later as long as another connection is
            # open, as many as were open at once.
            workflow = memory_factory.new_workflow(timeout=self.timeout + 6)
            memory_factory.memory_of(workflow).increment("n")
            close_workflow(workflow, mode)
            counts.append(_count_open_files(at_most=counts[0] if counts else None))
        assert counts[-1] <= counts[0], f"open files after each time: {counts}"

    def test_successive_event_loops(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """One memory serves several event loops, one after the other, and then the first (C21)."""
        workflow = memory_factory.new_workflow()
        first = memory_factory.memory_of(workflow)
        first.increment("k")
        for number in range(3):
            with mode.new() as new_mode:
                memory = memory_factory.memory_of(workflow, new_mode)
                assert memory.increment("k") == number + 2
                assert call_concurrently(memory, [call("get", "k")] * 16) == [number + 2] * 16
        assert first.get("k") == 4

    def test_threads(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """One memory serves many threads at once, each with its own event loop (C21)."""
        workflow = memory_factory.new_workflow()

        def work(number: int) -> None:
            with mode.new() as own:
                memory = memory_factory.memory_of(workflow, own)
                for turn in range(10):
                    memory.set(f"k{number}", [number, turn])
                    assert memory.get(f"k{number}") == [number, turn]
                    memory.increment("n")

        run_concurrently([partial(work, number) for number in range(6)])
        memory = memory_factory.memory_of(workflow)
        assert memory.get("n") == 60
        assert memory.get_many([f"k{number}" for number in range(6)]) == {
            f"k{number}": [number, 9] for number in range(6)
        }

    def test_concurrent_listings(self, memory: MemoryManager, raw_store: StoreUnderTest) -> None:
        """Concurrent listings, batches and changes don't disturb each other (C21)."""
        memory.set_many({f"k{number}": number for number in range(20)})
        results = call_concurrently(
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
        assert results[0::6] == [sorted(f"k{number}" for number in range(20))] * 10
        assert results[1::6] == [{"k1": 1, "k2": 2}] * 10
        assert results[4::6] == [True] * 10
        assert results[5::6] == [None] * 10
        assert raw_store.read(raw_store.address("k3")) == b"3"


def _use_and_close(memory_factory: MemoryFactory, mode: CallMode, timeout: float) -> None:
    workflow = memory_factory.new_workflow(timeout=timeout)  # so that it has a store of its own
    memory, store = memory_factory.memory_of(workflow), memory_factory.new_store(workflow)
    memory.set("k", 1)
    assert call_concurrently(memory, [call("get", "k")] * 16) == [1] * 16
    memory.clear()
    store.close()
    store.close()
    close_workflow(workflow, mode)


def _left_by(found: Callable[[], set[Any]]) -> set[Any]:
    """Return what is still there after two seconds; a thread may take a moment to end."""
    end = time.monotonic() + 2
    while found() and time.monotonic() < end:
        time.sleep(0.01)
    return found()


def _count_open_files(at_most: int | None) -> int:
    """Return how many files are open; wait a moment until they are at most so many."""
    gc.collect()
    end = time.monotonic() + 1
    while at_most is not None and len(os.listdir(OPEN_FILES)) > at_most and time.monotonic() < end:
        time.sleep(0.01)
    return len(os.listdir(OPEN_FILES))


def _idle_workers() -> set[threading.Thread]:
    """Return core's threads, which serve all memories of the process."""
    return {one for one in threading.enumerate() if one.name.startswith("fibonacci-worker")}


async def _other_tasks() -> set["asyncio.Task[Any]"]:
    await asyncio.sleep(0)
    return asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}


@pytest.mark.skipif(not hasattr(os, "fork"), reason=NO_FORK)
class ForkTests(ContractFixtures):
    """C21: forks."""

    def test_child_and_parent(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """After a fork child and parent both use the memory, and get their own results (C21)."""
        workflow = memory_factory.new_workflow()
        memory = memory_factory.memory_of(workflow)
        memory.set_many({"ours": "parent", "n": 0})

        def child() -> None:
            own = memory_factory.memory_of(workflow, mode.new())
            assert own.get("ours") == "parent"
            for number in range(20):
                own.set("child's", number)
                assert own.get("child's") == number
            assert own.list_keys()[-1] == "ours"

        with forked(child):
            for number in range(20):
                memory.set("mine", number)
                assert memory.get("mine") == number
        assert memory.get("ours") == "parent"
        assert memory.increment("n") == 1

    def test_child_reads_during_writes(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """A child reads whole records while its parent writes and reads them (C21)."""
        workflow = memory_factory.new_workflow()
        memory = memory_factory.memory_of(workflow)
        records = {f"k{number}": [number] * 1_000 for number in range(20)}
        memory.set_many(records)

        def child() -> None:
            own = memory_factory.memory_of(workflow, mode.new())
            for _ in range(10):
                assert difference(own.get_many(records), records) is None

        with forked(child) as running:
            for key in takewhile(lambda _: running.is_running(), cycle(records)):
                memory.set(key, records[key])
                assert difference(memory.get(key), records[key]) is None

    def test_fork_during_writes(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """A child that is forked while other threads write can use the memory at once (C21)."""
        workflow = memory_factory.new_workflow()
        memory = memory_factory.memory_of(workflow)
        memory.set("k", 1)
        enough = Event()

        def write() -> None:
            with mode.new() as own:
                writer = memory_factory.memory_of(workflow, own)
                while not enough.is_set():
                    writer.set("written", 1)

        def child() -> None:
            own = memory_factory.memory_of(workflow, mode.new())
            assert own.get("k") == 1
            own.set("child's", 2)
            assert own.get("child's") == 2

        writers = [Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(3):
                with forked(child):
                    pass
        finally:
            enough.set()
            for writer in writers:
                writer.join()
        assert memory.get("k") == 1

    def test_child_and_parent_change_a_record(
        self, memory_factory: MemoryFactory, mode: CallMode
    ) -> None:
        """A child that shares a store with its parent loses no change of a record (C16)."""
        workflow = memory_factory.new_workflow()
        memory = memory_factory.memory_of(workflow)
        memory.set("n", 0)

        def child() -> None:
            own = memory_factory.memory_of(workflow, mode.new())
            before = own.get("n")
            assert own.increment("n") > before

        with forked(child):
            for _ in range(10):
                memory.increment("n")
        # In-process stores part at the fork, all others see the child's change as well.
        assert memory.get("n") in (10, 11)
