"""The channel between a run that is streamed and whoever follows it.

A run waits at each event until it is asked for the next one, as a generator does, and so does each
of its strands. So a slow reader slows the run and fills no memory, and who stops reading knows what
has happened: nothing beyond the events that were read, but for what went on beside.

It is written once, as coroutines over the signals and the queue of a voice.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import attrs

from fibonacci._workflow.events import Event, WorkflowFinished
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.voice import Abandoned, Overdue

Running = Callable[["Channel"], Coroutine[Any, Any, ExecutionResult]]
"""Makes a run that tells what happens to a channel."""


class Signal(ABC):
    """Something happens once, and one other waits for it."""

    @abstractmethod
    def set(self) -> None:
        """It has happened."""

    @abstractmethod
    async def wait(self, deadline: float | None = None) -> None:
        """Wait for it; no longer than until the deadline, if the voice does not see to that."""

    @abstractmethod
    def is_own(self) -> bool:
        """Say whether whoever asks would wait for itself."""


@attrs.frozen(eq=False)
class Letter:
    """An event on its way."""

    event: Event
    answered: Signal
    """The next event was asked for, or none will be."""
    closed: Signal | None
    """The model's stream that it came from is closed."""


class Channel(ABC):
    """Between one run and its one reader."""

    def __init__(self) -> None:
        self.is_closed = False
        """Nobody reads any more: no node starts, none is tried again, and none begins to write."""
        self._letters: set[Letter] = set()
        self._writers: set[Signal] = set()
        self._read: Letter | None = None

    @abstractmethod
    def signal(self) -> Signal:
        """Make a signal."""

    @abstractmethod
    def _put(self, letter: Letter | BaseException) -> None:
        """Add to the queue."""

    @abstractmethod
    async def _get(self) -> Letter | BaseException:
        """Take from the queue; wait while it is empty."""

    async def tell(
        self, event: Event, deadline: float | None = None, closed: Signal | None = None
    ) -> None:
        """Tell the reader, and wait until it asks for more.

        Raises Abandoned where it does not, and Overdue at the deadline.
        """
        _check(deadline)
        letter = Letter(event, self.signal(), closed)
        self._letters.add(letter)
        try:
            self._put(letter)
            if not self.is_closed:  # after it was added: whoever closes sees one or the other
                await letter.answered.wait(deadline)
        finally:
            self._letters.discard(letter)
        if self.is_closed:  # after it was taken out: whoever closes waits for no model that works
            raise Abandoned
        _check(deadline)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write as a whole: whoever closes waits for the end."""
        ended = self.signal()
        self._writers.add(ended)
        try:
            yield
        finally:
            self._writers.discard(ended)
            ended.set()

    async def carry(self, running: Running) -> None:
        """Run, and put what that ends in at the end of the queue."""
        try:
            result = await running(self)
        except BaseException as fault:  # noqa: BLE001 - raised where it is read
            self._put(fault)
        else:
            self._put(Letter(WorkflowFinished(result), self.signal(), None))

    async def read(self) -> Event:
        """Return the next event. Raises what the run raised."""
        if self._read is not None:
            self._read.answered.set()
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
            letter.answered.set()
        for end in [*self._writers, *(one.closed for one in letters if one.closed is not None)]:
            if not end.is_own():
                await end.wait()


def _check(deadline: float | None) -> None:
    if deadline is not None and monotonic() >= deadline:
        raise Overdue
