"""A model in a mode: a test asks plainly, the mode decides whether it is awaited."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from functools import partial

import attrs

from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci.testing.modes import AsyncMode, CallMode, Question

Piece = TextDelta | Completion


class Stream(ABC):
    """A stream that a test takes piece by piece."""

    @abstractmethod
    def next(self) -> Piece:
        """Return the next piece."""

    @abstractmethod
    def rest(self) -> list[Piece]:
        """Return all pieces that are left."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    @abstractmethod
    def throw(self, fault: BaseException) -> None:
        """Break it off by an exception, which comes back from it."""


@attrs.frozen
class PlainStream(Stream):
    """What ``Model.stream`` returns."""

    pieces: Generator[Piece]

    def next(self) -> Piece:
        return next(self.pieces)

    def rest(self) -> list[Piece]:
        return list(self.pieces)

    def close(self) -> None:
        self.pieces.close()

    def throw(self, fault: BaseException) -> None:
        self.pieces.throw(fault)


@attrs.frozen
class AwaitedStream(Stream):
    """What ``Model.astream`` returns, on the mode's event loop."""

    pieces: AsyncGenerator[Piece]
    mode: AsyncMode

    def next(self) -> Piece:
        piece: Piece = self.mode.run(partial(anext, self.pieces))
        return piece

    def rest(self) -> list[Piece]:
        pieces: list[Piece] = self.mode.run(partial(listed, self.pieces))
        return pieces

    def close(self) -> None:
        self.mode.run(self.pieces.aclose)

    def throw(self, fault: BaseException) -> None:
        self.mode.run(partial(self.pieces.athrow, fault))


@attrs.frozen
class SpokenModel:
    """A model, asked in a mode."""

    model: Model
    mode: CallMode

    def complete(self, request: ModelRequest) -> Completion:
        """Return the whole answer."""
        answer: Completion = self.mode.ask(self.question(request))
        return answer

    def pieces(self, request: ModelRequest) -> list[Piece]:
        """Return all that the stream yields."""
        pieces: list[Piece] = self.mode.ask(self.streamed(request))
        return pieces

    def question(self, request: ModelRequest) -> Question:
        """Return the call for the whole answer, to be made later."""
        return Question(
            partial(self.model.complete, request), partial(self.model.acomplete, request)
        )

    def streamed(self, request: ModelRequest) -> Question:
        """Return the call for all pieces, to be made later."""

        async def awaited() -> list[Piece]:
            return await listed(self.model.astream(request))

        return Question(lambda: list(self.model.stream(request)), awaited)

    def open(self, request: ModelRequest) -> Stream:
        """Return a stream of which nothing was taken yet."""

        async def awaited() -> Stream:
            assert isinstance(self.mode, AsyncMode)
            return AwaitedStream(self.model.astream(request), self.mode)

        stream: Stream = self.mode.ask(
            Question(lambda: PlainStream(self.model.stream(request)), awaited)
        )
        return stream

    def fresh(self, mode: CallMode) -> "SpokenModel":
        """Return the same model in another mode."""
        return SpokenModel(self.model, mode)


async def listed(pieces: AsyncGenerator[Piece]) -> list[Piece]:
    """Return all pieces that are left."""
    return [piece async for piece in pieces]
