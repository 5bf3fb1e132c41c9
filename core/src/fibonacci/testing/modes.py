"""The three modes that a suite speaks in: sync, async, and both by turns.

A test is written once, in the sync style; its mode decides how each call is made.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import attrs

from fibonacci.testing.threads import in_threads

WORKERS = 8


@attrs.frozen
class Question:
    """One call, in sync and async code."""

    plain: Callable[[], Any]
    awaited: Callable[[], Awaitable[Any]]


class CallMode(ABC):
    """How the calls of a test are made."""

    name: ClassVar[str]

    @abstractmethod
    def ask(self, question: Question) -> Any:
        """Make the call, and return its answer."""

    @abstractmethod
    def ask_together(self, questions: Sequence[Question]) -> list[Any]:
        """Share the calls among eight workers that run at the same time; return all answers."""

    @abstractmethod
    def close(self) -> None:
        """End the event loop, if there is one."""

    def __enter__(self) -> "CallMode":
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close."""
        self.close()

    def fresh(self) -> "CallMode":
        """Return a mode of the same kind, with an event loop of its own."""
        return type(self)()


class SyncMode(CallMode):
    """Calls are made plainly, those at the same time in threads."""

    name = "sync"

    def ask(self, question: Question) -> Any:
        return question.plain()

    def ask_together(self, questions: Sequence[Question]) -> list[Any]:
        answers: list[Any] = [None] * len(questions)
        in_threads([_share(questions, answers, worker) for worker in range(WORKERS)])
        return answers

    def close(self) -> None:
        pass


class AsyncMode(CallMode):
    """Calls are awaited on an event loop that stays the same."""

    name = "async"

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def ask(self, question: Question) -> Any:
        return self.run(question.awaited)

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def running() -> Any:
            return await work()

        return self.loop.run_until_complete(running())

    def ask_together(self, questions: Sequence[Question]) -> list[Any]:
        answers: list[Any] = [None] * len(questions)
        self.run(lambda: _all_shares(questions, answers, range(WORKERS)))
        return answers

    def close(self) -> None:
        self.run(_settle)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class MixedMode(AsyncMode):
    """One call is awaited, the next is made plainly, in the midst of the running event loop."""

    name = "mixed"

    def __init__(self) -> None:
        super().__init__()
        self._turn = False

    def ask(self, question: Question) -> Any:
        self._turn = not self._turn

        async def plainly() -> Any:
            return question.plain()

        return self.run(question.awaited if self._turn else plainly)

    def ask_together(self, questions: Sequence[Question]) -> list[Any]:
        answers: list[Any] = [None] * len(questions)
        plain = range(0, WORKERS, 2)
        awaited = range(1, WORKERS, 2)
        in_threads(
            [_share(questions, answers, worker) for worker in plain],
            meanwhile=lambda: self.run(lambda: _all_shares(questions, answers, awaited)),
        )
        return answers


CALL_MODES: dict[str, type[CallMode]] = {
    kind.name: kind for kind in (SyncMode, AsyncMode, MixedMode)
}


def _share(questions: Sequence[Question], answers: list[Any], worker: int) -> Callable[[], None]:
    def work() -> None:
        for index in range(worker, len(questions), WORKERS):
            answers[index] = questions[index].plain()

    return work


async def _all_shares(questions: Sequence[Question], answers: list[Any], workers: range) -> None:
    async def work(worker: int) -> None:
        for index in range(worker, len(questions), WORKERS):
            answers[index] = await questions[index].awaited()

    await asyncio.gather(*map(work, workers))


async def _settle() -> None:
    """Let the tasks that close connections end; a task that does not end is cancelled."""
    await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, hanging = await asyncio.wait(others, timeout=1)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
