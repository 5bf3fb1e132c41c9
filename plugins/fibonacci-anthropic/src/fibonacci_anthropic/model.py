"""The model that core sees, in both voices."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import ClassVar

from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta, run_sync
from fibonacci_anthropic.access import find_access
from fibonacci_anthropic.clients import shared_clients
from fibonacci_anthropic.conversation import Conversation
from fibonacci_anthropic.line import Line, LoopLine
from fibonacci_anthropic.secret import Secret


class AnthropicModel(Model):
    """A model of Anthropic's Messages API, for ``LLMNode(model=...)``.

    Named by text (``"claude-…"``) it has the environment's key; made by hand, the one given.
    """

    # The API takes no temperature since its version of October 2026, and neither does its SDK.
    supported_options: ClassVar[frozenset[str]] = frozenset({"stop"})

    def __init__(
        self, model: str, *, api_key: str | None = None, base_url: str | None = None
    ) -> None:
        """Look for the key and the address; nothing is sent.

        Args:
            model: the model's name at the service.
            api_key: in the place of ``ANTHROPIC_API_KEY`` and all else that the SDK looks for.
            base_url: where the service is, in the place of ``ANTHROPIC_BASE_URL``.

        Raises ConfigurationError.
        """
        self._model = model
        given = Secret(api_key), Secret(base_url)
        del api_key, base_url  # or an error's traceback could show them
        self._access = find_access(*given)
        self._clients = shared_clients(self._access)

    def __repr__(self) -> str:
        return f"AnthropicModel({self._model!r})"

    def complete(self, request: ModelRequest) -> Completion:
        """Return the answer. Raises ModelError."""
        *_, whole = self.stream(request)
        assert isinstance(whole, Completion)
        return whole

    async def acomplete(self, request: ModelRequest) -> Completion:
        """Return the answer; if the task is cancelled, the request ends."""
        async with aclosing(self.astream(request)) as pieces:
            *_, whole = [piece async for piece in pieces]
        assert isinstance(whole, Completion)
        return whole

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        """Yield the answer as it comes, and the whole; closed early, the request ends."""
        talk = self._conversation(Line, request)
        try:
            run_sync(talk.ask(self._model))
            while (piece := run_sync(talk.piece())) is not None:
                yield piece
        finally:
            run_sync(talk.close())

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield what ``stream`` yields; closed or cancelled, the request ends."""
        talk = self._conversation(LoopLine, request)
        try:
            await talk.ask(self._model)
            while (piece := await talk.piece()) is not None:
                yield piece
        finally:
            await talk.close()

    def _conversation(self, kind: type[Line], request: ModelRequest) -> Conversation:
        return Conversation(kind(self._clients, request.deadline), self._access, request)
