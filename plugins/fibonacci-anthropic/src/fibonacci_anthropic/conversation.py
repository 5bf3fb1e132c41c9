"""One question and its answer, written once for both voices."""

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta
from fibonacci_anthropic.access import Access
from fibonacci_anthropic.answer import Answer
from fibonacci_anthropic.end_of_life import tell_end_of_life
from fibonacci_anthropic.faults import telling
from fibonacci_anthropic.line import END, Line
from fibonacci_anthropic.question import question


class Conversation:
    """Asks over a line, and reads what comes. Its methods raise ModelError."""

    def __init__(self, line: Line, access: Access, request: ModelRequest) -> None:
        self._line = line
        self._access = access
        self._request = request
        self._answer = Answer()
        self._is_over = False

    async def ask(self, model: str) -> None:
        """Send the question."""
        await telling(self._ask(model), self._request, self._access)

    async def _ask(self, model: str) -> None:
        await self._line.ready()
        tell_end_of_life(model)
        await self._line.open(question(model, self._request))

    async def piece(self) -> TextDelta | Completion | None:
        """Return the next piece; after the last of them the whole, and then None."""
        if not self._answer.is_whole:
            text = await telling(self._text(), self._request, self._access)
            if text is not None:
                return TextDelta(text)
        if self._is_over:
            return None
        self._is_over = True
        await self._line.finish()
        return self._answer.completion()

    async def _text(self) -> str | None:
        """Return the next text, None at the end of the answer."""
        while not self._answer.is_whole:
            event = await self._line.event()
            if event is END:
                raise ModelError("anthropic: the answer broke off", retryable=True)
            if text := self._answer.take(event):
                return text
        return None

    async def close(self) -> None:
        """End the request, whatever it is doing."""
        await self._line.close()
