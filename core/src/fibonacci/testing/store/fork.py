"""Forks: a child uses the memory that it was born with, and the parent goes on."""

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from threading import Event, Thread

import pytest

from fibonacci.testing.modes import CallMode
from fibonacci.testing.store.bench import Bench, Opener

PATIENCE = 15.0
"""Seconds that a child may take; one that hangs is killed."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
class Fork(Bench):
    """C21: forks."""

    def test_child_and_parent(self, opener: Opener, mode: CallMode) -> None:
        """After a fork child and parent both use the memory, and get their own answers (C21)."""
        workflow = opener.workflow()
        memory = opener.speak(workflow)
        memory.set_many({"ours": "parent", "n": 0})

        def child() -> None:
            own = opener.speak(workflow, mode.fresh())
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

    def test_fork_amid_writes(self, opener: Opener, mode: CallMode) -> None:
        """A child that is forked while other threads write can use the memory at once (C21)."""
        workflow = opener.workflow()
        memory = opener.speak(workflow)
        memory.set("k", 1)
        enough = Event()

        def write() -> None:
            with mode.fresh() as own:
                writer = opener.speak(workflow, own)
                while not enough.is_set():
                    writer.set("written", 1)

        def child() -> None:
            own = opener.speak(workflow, mode.fresh())
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

    def test_children_change_together(self, opener: Opener, mode: CallMode) -> None:
        """A child that comes back to a store of this machine loses no change of a record (C16)."""
        workflow = opener.workflow()
        memory = opener.speak(workflow)
        memory.set("n", 0)

        def child() -> None:
            own = opener.speak(workflow, mode.fresh())
            before = own.get("n")
            assert own.increment("n") > before

        with forked(child):
            for _ in range(10):
                memory.increment("n")
        # In-process stores part at the fork, all others see the child's change as well.
        assert memory.get("n") in (10, 11)


class forked:  # noqa: N801 - reads as a statement
    """Run work in a forked child during the block, and raise what it raised."""

    def __init__(self, work: Callable[[], None], patience: float = PATIENCE) -> None:
        self._work = work
        self._patience = patience

    def __enter__(self) -> None:
        """Fork."""
        self._report, writing = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forks while threads run; that they do no harm is what is tested.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if not self._child:
            _run_child(self._work, writing)
        os.close(writing)

    def __exit__(self, *raised: object) -> None:
        """Wait for the child."""
        end = time.monotonic() + self._patience
        ended, status = os.waitpid(self._child, os.WNOHANG)
        told = ""
        while not ended:
            if time.monotonic() > end:
                told = (
                    f"the child hung for {self._patience:g} s: "
                    f"a lock that is held at the fork stays held in the child"
                )
                os.kill(self._child, signal.SIGKILL)
            time.sleep(0.002)
            ended, status = os.waitpid(self._child, os.WNOHANG)
        with os.fdopen(self._report) as report:
            told += report.read()
        if status:
            raise AssertionError(told or f"the child died (status {status})")


def _run_child(work: Callable[[], None], report: int) -> None:
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - told to the parent
        os.write(report, traceback.format_exc()[-4_000:].encode())
    finally:
        os._exit(code)
