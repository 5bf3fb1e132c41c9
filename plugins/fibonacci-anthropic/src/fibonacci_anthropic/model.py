"""The model that core calls, sync and async."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import ClassVar, Literal

from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta, run_sync
from fibonacci_anthropic.caching import Cache, check_cache
from fibonacci_anthropic.clients import shared_clients
from fibonacci_anthropic.credentials import Secret, find_credentials
from fibonacci_anthropic.environment import check_environment
from fibonacci_anthropic.stream import (
    AsyncEventStream,
    BlockingEventStream,
    EventStream,
    MessageStream,
)


class AnthropicModel(Model):
    """A model of Anthropic's Messages API, for ``LLMNode(model=...)``.

    ``LLMNode(model="claude-…")`` creates one with the environment's API key. Messages of the system
    and the developer in a conversation become part of the system prompt.
    """

    # The API takes no temperature since its version of October 2026, and neither does its SDK.
    supported_options: ClassVar[frozenset[str]] = frozenset({"stop", "messages"})

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        cache: Literal["5m", "1h"] | None = None,
    ) -> None:
        """Find the API key and the URL; nothing is sent.

        Args:
            model: the model's name at the service.
            api_key: overrides ``ANTHROPIC_API_KEY`` and the SDK's other credentials.
            base_url: the service's URL, overrides ``ANTHROPIC_BASE_URL``.
            cache: how long the service keeps what it has read, for later requests that begin in the
                same way: 5 minutes or 1 hour after the last use; None: not at all. It is the system
                prompt and the conversation before the prompt. See the README for what that costs.

        Raises ConfigurationError.
        """
        self._model = model
        self._cache: Cache | None = cache
        arguments = Secret(api_key), Secret(base_url)
        del api_key, base_url  # or an error's traceback could show them
        check_cache(cache)
        self._credentials = find_credentials(*arguments)
        check_environment()
        self._clients = shared_clients(self._credentials)

    def __repr__(self) -> str:
        return f"AnthropicModel({self._model!r})"

    def complete(self, request: ModelRequest) -> Completion:
        """Return the completion. Raises ModelError."""
        *_, completion = self.stream(request)
        assert isinstance(completion, Completion)
        return completion

    async def acomplete(self, request: ModelRequest) -> Completion:
        """Return the completion; cancelling the task ends the request. Raises ModelError."""
        async with aclosing(self.astream(request)) as items:
            *_, completion = [item async for item in items]
        assert isinstance(completion, Completion)
        return completion

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        """Yield deltas, then the completion; closing the generator ends the request."""
        stream = self._message_stream(BlockingEventStream, request)
        try:
            run_sync(stream.send(self._model))
            while (item := run_sync(stream.next_item())) is not None:
                yield item
        finally:
            run_sync(stream.close())

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield what ``stream`` yields; closing or cancelling ends the request."""
        stream = self._message_stream(AsyncEventStream, request)
        try:
            await stream.send(self._model)
            while (item := await stream.next_item()) is not None:
                yield item
        finally:
            await stream.close()

    def _message_stream(
        self, event_stream: type[EventStream], request: ModelRequest
    ) -> MessageStream:
        events = event_stream(self._clients, request.deadline)
        return MessageStream(events, self._credentials, request, self._cache)
