"""The channel between a run that is streamed and whoever follows it.

A run waits at each event until it is asked for the next one, as a generator does, and so does each
of its strands. So a slow reader slows the run and fills no memory, and who stops reading knows what
has happened: nothing beyond the events that were read, but for what went on beside.

It is written once, as coroutines over the waiters and the queue of a voice.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any, ClassVar

import attrs

from fibonacci._workflow.events import Event, WorkflowFinished
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.voice import Abandoned, Overdue
from fibonacci.plugin._runtime.waiters import Waiter

Running = Callable[["Channel"], Coroutine[Any, Any, ExecutionResult]]
"""Makes a run that tells what happens to a channel."""


@attrs.frozen(eq=False)
class Letter:
    """An event on its way."""

    event: Event
    answered: Waiter
    """The next event was asked for, or none will be."""
    closed: Waiter | None
    """The model's stream that it came from is closed."""


class Channel(ABC):
    """Between one run and its one reader."""

    def __init__(self) -> None:
        self.is_closed = False
        """Nobody reads any more: no node starts, none is tried again, and none begins to write."""
        self._letters: set[Letter] = set()
        self._writers: set[Waiter] = set()
        self._read: Letter | None = None

    waiter: ClassVar[type[Waiter]]

    @abstractmethod
    def _put(self, letter: Letter | BaseException) -> None:
        """Add to the queue."""

    @abstractmethod
    async def _get(self) -> Letter | BaseException:
        """Take from the queue; wait while it is empty."""

    async def tell(
        self, event: Event, deadline: float | None = None, closed: Waiter | None = None
    ) -> None:
        """Tell the reader, and wait until it asks for more.

        Raises Abandoned where it does not, and Overdue at the deadline.
        """
        _check(deadline)
        letter = Letter(event, self.waiter(), closed)
        self._letters.add(letter)
        try:
            self._put(letter)
            if not self.is_closed:  # after it was added: whoever closes sees one or the other
                await letter.answered.wait(inf if deadline is None else deadline)
        finally:
            self._letters.discard(letter)
        if self.is_closed:  # after it was taken out: whoever closes waits for no model that works
            raise Abandoned
        _check(deadline)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write as a whole: whoever closes waits for the end."""
        ended = self.waiter()
        self._writers.add(ended)
        try:
            yield
        finally:
            self._writers.discard(ended)
            ended.wake()

    async def carry(self, running: Running) -> None:
        """Run, and put what that ends in at the end of the queue."""
        try:
            result = await running(self)
        except BaseException as fault:  # noqa: BLE001 - raised where it is read
            self._put(fault)
        else:
            self._put(Letter(WorkflowFinished(result), self.waiter(), None))

    async def read(self) -> Event:
        """Return the next event. Raises what the run raised."""
        if self._read is not None:
            self._read.answered.wake()
        letter = await self._get()
        if isinstance(letter, BaseException):
            raise letter
        self._read = letter
        return letter.event

    async def close(self) -> None:
        """Stop the run where it is.

        Streams of models that wait for the reader are closed, and memory writes that have begun
        are ended, before this returns.
        """
        self.is_closed = True
        letters = list(self._letters)
        for letter in letters:
            letter.answered.wake()
        for end in [*self._writers, *(one.closed for one in letters if one.closed is not None)]:
            if end.owner != end.caller():  # else this would wait for itself
                await end.wait(inf)


def _check(deadline: float | None) -> None:
    if deadline is not None and monotonic() >= deadline:
        raise Overdue
