"""The model that core sees. How it answers is written once, and spoken in both voices."""

from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import aclosing
from typing import ClassVar, TypeVar

from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci_llamacpp.dialogue import answer
from fibonacci_llamacpp.engine import Engine
from fibonacci_llamacpp.link import Link, LoopLink
from fibonacci_llamacpp.wire import Wire

T = TypeVar("T")
Pieces = AsyncGenerator[TextDelta | Completion, None]


class LlamaModel(Model):
    """A model of llama.cpp. Without a temperature it takes the likeliest token each time."""

    supported_options: ClassVar[frozenset[str]] = frozenset({"temperature", "stop"})

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def complete(self, request: ModelRequest) -> Completion:
        """Return the answer. Raises ModelError."""
        return _run(_whole(self._pieces(Link, request)))

    async def acomplete(self, request: ModelRequest) -> Completion:
        """Return the answer; if the task is cancelled, the generation ends."""
        return await _whole(self._pieces(LoopLink, request))

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        """Yield the answer token by token, and the whole; closed early, the generation ends."""
        pieces = self._pieces(Link, request)
        try:
            while (piece := _run(anext(pieces, None))) is not None:
                yield piece
        finally:
            _run(pieces.aclose())

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield what ``stream`` yields; closed or cancelled, the generation ends."""
        async with aclosing(self._pieces(LoopLink, request)) as pieces:
            async for piece in pieces:
                yield piece

    async def _pieces(self, kind: type[Link], request: ModelRequest) -> Pieces:
        link = await kind.open(self._engine, request.deadline)
        try:
            async with aclosing(answer(Wire(link), request)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            link.close()


async def _whole(answering: Pieces) -> Completion:
    async with aclosing(answering) as pieces:
        *_, whole = [piece async for piece in pieces]
    assert isinstance(whole, Completion)
    return whole


def _run(awaitable: Awaitable[T]) -> T:
    """Run what stands on a blocking link, and so never waits for an event loop."""
    try:
        next(awaitable.__await__())
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a blocking link never waits")
