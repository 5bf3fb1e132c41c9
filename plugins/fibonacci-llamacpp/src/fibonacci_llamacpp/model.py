"""The model that core calls, sync and async: both run the same coroutines."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import ClassVar

from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta, run_sync
from fibonacci_llamacpp.client import AsyncConnection, BlockingConnection, Client, Connection
from fibonacci_llamacpp.completion import stream_completion
from fibonacci_llamacpp.conversation import request_texts
from fibonacci_llamacpp.server import ModelServer

Items = AsyncGenerator[TextDelta | Completion, None]


class LlamaModel(Model):
    """A model of llama.cpp. Without a temperature it picks the most likely token each time."""

    supported_options: ClassVar[frozenset[str]] = frozenset({"temperature", "stop", "messages"})

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    def complete(self, request: ModelRequest) -> Completion:
        """Return the completion. Raises ModelError."""
        return run_sync(_last(self._items(BlockingConnection, request)))

    async def acomplete(self, request: ModelRequest) -> Completion:
        """Return the completion; cancelling the task ends the generation. Raises ModelError."""
        return await _last(self._items(AsyncConnection, request))

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        """Yield deltas, then the completion; closing the generator ends the generation."""
        items = self._items(BlockingConnection, request)
        try:
            while (item := run_sync(_next(items))) is not None:
                yield item
        finally:
            run_sync(items.aclose())

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield what ``stream`` yields; closing or cancelling ends the generation."""
        async with aclosing(self._items(AsyncConnection, request)) as items:
            async for item in items:
                yield item

    async def _items(self, connection_type: type[Connection], request: ModelRequest) -> Items:
        texts = request_texts(request)  # before the model is loaded for what it can't be sent
        connection = await connection_type.open(self._server, request.deadline)
        client = Client(connection, texts)
        try:
            async with aclosing(stream_completion(client, request)) as items:
                async for item in items:
                    yield item
        finally:
            connection.close()


async def _next(items: Items) -> TextDelta | Completion | None:
    return await anext(items, None)


async def _last(generator: Items) -> Completion:
    async with aclosing(generator) as items:
        *_, completion = [item async for item in items]
    assert isinstance(completion, Completion)
    return completion
