"""A model in a voice: a test asks plainly, the voice decides whether it is awaited."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from functools import partial

import attrs

from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci.testing.voices import AsyncVoice, Question, Voice

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
    """What ``Model.astream`` returns, on the voice's event loop."""

    pieces: AsyncGenerator[Piece]
    voice: AsyncVoice

    def next(self) -> Piece:
        piece: Piece = self.voice.run(partial(anext, self.pieces))
        return piece

    def rest(self) -> list[Piece]:
        pieces: list[Piece] = self.voice.run(partial(listed, self.pieces))
        return pieces

    def close(self) -> None:
        self.voice.run(self.pieces.aclose)

    def throw(self, fault: BaseException) -> None:
        self.voice.run(partial(self.pieces.athrow, fault))


@attrs.frozen
class SpokenModel:
    """A model, asked in a voice."""

    model: Model
    voice: Voice

    def complete(self, request: ModelRequest) -> Completion:
        """Return the whole answer."""
        answer: Completion = self.voice.ask(self.question(request))
        return answer

    def pieces(self, request: ModelRequest) -> list[Piece]:
        """Return all that the stream yields."""
        pieces: list[Piece] = self.voice.ask(self.streamed(request))
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
            assert isinstance(self.voice, AsyncVoice)
            return AwaitedStream(self.model.astream(request), self.voice)

        stream: Stream = self.voice.ask(
            Question(lambda: PlainStream(self.model.stream(request)), awaited)
        )
        return stream

    def fresh(self, voice: Voice) -> "SpokenModel":
        """Return the same model in another voice."""
        return SpokenModel(self.model, voice)


async def listed(pieces: AsyncGenerator[Piece]) -> list[Piece]:
    """Return all pieces that are left."""
    return [piece async for piece in pieces]
