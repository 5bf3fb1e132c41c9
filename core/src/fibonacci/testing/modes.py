"""The three modes in which a suite calls: sync, async, and both in turn.

A test is written once, in sync style; its mode decides how each call is made.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, ClassVar

import attrs
import pytest

from fibonacci.testing.threads import run_concurrently
from fibonacci.testing.watchdog import PhasesPlugin, Watchdog, is_hang, note_progress

WORKERS = 8


@attrs.frozen
class CallPair:
    """One call, as sync and as async code makes it."""

    sync_call: Callable[[], Any]
    async_call: Callable[[], Awaitable[Any]]


class CallMode(ABC):
    """How the calls of a test are made."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    """The kinds of code that make calls, in turn: sync, async, or both."""

    @abstractmethod
    def call(self, pair: CallPair) -> Any:
        """Make the call, and return its result."""

    @abstractmethod
    def call_concurrently(self, pairs: Sequence[CallPair]) -> list[Any]:
        """Share the calls among eight concurrent workers; return all results, in order."""

    def make_next(self, kind: str) -> None:
        """Have the next call made by one kind of code."""
        assert kind in self.kinds

    @abstractmethod
    def close(self) -> None:
        """Close the event loop, if there is one."""

    def __enter__(self) -> "CallMode":
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close."""
        self.close()

    def new(self) -> "CallMode":
        """Return a mode of the same kind, with its own event loop."""
        return type(self)()


class SyncMode(CallMode):
    """Sync calls; concurrent ones in threads."""

    name = "sync"
    kinds = ("sync",)

    def call(self, pair: CallPair) -> Any:
        note_progress()
        return pair.sync_call()

    def call_concurrently(self, pairs: Sequence[CallPair]) -> list[Any]:
        results: list[Any] = [None] * len(pairs)
        run_concurrently([_sync_share(pairs, results, worker) for worker in range(WORKERS)])
        return results

    def close(self) -> None:
        pass


class AsyncMode(CallMode):
    """Async calls, all on one event loop."""

    name = "async"
    kinds: ClassVar[tuple[str, ...]] = ("async",)

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def call(self, pair: CallPair) -> Any:
        return self.run(pair.async_call)

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            return await work()

        note_progress()
        try:
            return self.loop.run_until_complete(main())
        except BaseException as error:
            if is_hang(error):
                self.loop.run_until_complete(_finish_tasks())  # the next test runs alone
            raise

    def call_concurrently(self, pairs: Sequence[CallPair]) -> list[Any]:
        results: list[Any] = [None] * len(pairs)
        self.run(lambda: _run_async_shares(pairs, results, range(WORKERS)))
        return results

    def close(self) -> None:
        self.run(_finish_tasks)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class MixedMode(AsyncMode):
    """Async and sync calls in turn, the sync ones within the running event loop."""

    name = "mixed"
    kinds = ("sync", "async")

    def __init__(self) -> None:
        super().__init__()
        self._next_is_async = True

    def make_next(self, kind: str) -> None:
        self._next_is_async = kind == "async"

    def call(self, pair: CallPair) -> Any:
        is_async, self._next_is_async = self._next_is_async, not self._next_is_async

        async def call_within_loop() -> Any:
            return pair.sync_call()

        return self.run(pair.async_call if is_async else call_within_loop)

    def call_concurrently(self, pairs: Sequence[CallPair]) -> list[Any]:
        results: list[Any] = [None] * len(pairs)
        in_threads = range(0, WORKERS, 2)
        in_tasks = range(1, WORKERS, 2)
        run_concurrently(
            [_sync_share(pairs, results, worker) for worker in in_threads],
            meanwhile=lambda: self.run(lambda: _run_async_shares(pairs, results, in_tasks)),
        )
        return results


CALL_MODES: dict[str, type[CallMode]] = {
    mode.name: mode for mode in (SyncMode, AsyncMode, MixedMode)
}


class ModeFixtures:
    """The fixtures of a contract whose tests run in each mode."""

    modes: ClassVar[Sequence[Any]] = tuple(CALL_MODES)
    """The modes to run in: their names, or ``pytest.param`` of one with marks."""
    hang_slack: ClassVar[float] = 20.0
    """Seconds beyond the longest call after which a test that does not go on is ended."""

    @classmethod
    def longest_call(cls) -> float:
        """Return the seconds that one call may take."""
        raise NotImplementedError

    @classmethod
    def new_watchdog(cls) -> Watchdog:
        """Return a watchdog for the calls of this class."""
        return Watchdog(cls.longest_call() + cls.hang_slack)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once a mode."""
        PhasesPlugin.register(metafunc.config)
        if "mode" in metafunc.fixturenames and metafunc.cls is not None:
            metafunc.parametrize("mode", metafunc.cls.modes, indirect=True, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def mode(cls, request: pytest.FixtureRequest) -> Iterator[CallMode]:
        """The mode, with one event loop for all tests of the class."""
        mode = CALL_MODES[request.param]()
        yield mode
        with cls.new_watchdog():
            mode.close()

    @pytest.fixture(autouse=True)
    def watched(self) -> Iterator[None]:
        """Ends the test if it hangs, with its set-up and tear-down."""
        with self.new_watchdog():
            yield


def _sync_share(pairs: Sequence[CallPair], results: list[Any], worker: int) -> Callable[[], None]:
    def work() -> None:
        for index in range(worker, len(pairs), WORKERS):
            results[index] = pairs[index].sync_call()

    return work


async def _run_async_shares(pairs: Sequence[CallPair], results: list[Any], workers: range) -> None:
    async def work(worker: int) -> None:
        for index in range(worker, len(pairs), WORKERS):
            results[index] = await pairs[index].async_call()

    await asyncio.gather(*map(work, workers))


async def _finish_tasks() -> None:
    """Let the tasks that close connections end; cancel those that do not."""
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=1)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1)
