"""What a models plugin provides: a model that completes a prompt, whole or as a stream.

Only ``complete`` is required. The async and streaming methods have defaults that call it: correct,
but the text arrives in one piece.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import attrs

from fibonacci.plugin._runtime.threads import run_in_thread


@attrs.frozen(kw_only=True)
class ModelSettings:
    """What core passes to ``fibonacci_model``."""

    model: str
    """The model's name: what follows ``provider:``, or the whole text if a prefix matched it."""


@attrs.frozen(kw_only=True)
class ModelRequest:
    """One request to a model."""

    prompt: str = attrs.field(repr=False)
    """The user's message, rendered."""
    system_prompt: str | None = attrs.field(default=None, repr=False)
    """The system message, rendered."""
    max_tokens: int = 1024
    """The maximum number of tokens in the completion."""
    temperature: float | None = None
    """The sampling temperature, from 0; None: the provider's default."""
    stop: tuple[str, ...] = ()
    """Texts at which the completion ends; they are not part of it."""
    output_format: Literal["text", "json"] = "text"
    """The format of the completion; a provider that can enforce JSON should do so."""
    output_schema: Mapping[str, Any] | None = None
    """The JSON Schema for a completion in JSON; core always validates the completion against it."""
    deadline: float | None = None
    """When the completion is due: a reading of ``time.monotonic()``, in seconds; None: no limit."""


@attrs.frozen(kw_only=True)
class Usage:
    """Numbers of tokens; can be added."""

    input_tokens: int = 0
    """Tokens of the prompt and the system message, with everything that the provider adds around
    them."""
    output_tokens: int = 0
    """Tokens of the completion."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )


@attrs.frozen(kw_only=True)
class Completion:
    """A model's whole completion."""

    text: str = attrs.field(repr=False, validator=attrs.validators.instance_of(str))
    """The text; not in the repr."""
    usage: Usage = Usage()
    """The tokens used; zeros if the provider does not count."""
    stop_reason: Literal["end", "max_tokens", "stop"] | None = None
    """Why it ended: by itself, at ``max_tokens``, at a text of ``stop``; None if unknown."""


@attrs.frozen
class TextDelta:
    """A piece of a streamed completion."""

    text: str = attrs.field(repr=False)
    """The added text; not in the repr."""


class Model(ABC):
    """Completes prompts. One object serves all threads and event loops.

    A failure is a :class:`~fibonacci.errors.ModelError`, which says whether a retry may help; the
    model makes one attempt. The error's text holds no key and no prompt.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset()
    """The optional fields of a request that this model supports: "temperature", "stop". A node that
    sets another is refused before the run starts; no option is silently ignored."""

    @abstractmethod
    def complete(self, request: ModelRequest) -> Completion:
        """Return the completion. Raises ModelError, also at the request's deadline."""

    async def acomplete(self, request: ModelRequest) -> Completion:
        """Return the completion without blocking the event loop; by default, from a thread."""
        return await run_in_thread(partial(self.complete, request))

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        """Yield the deltas of the text, and at the end the whole completion: their texts joined.

        Closing the generator early ends the request. Raises what ``complete`` raises.
        """
        completion = self.complete(request)
        if isinstance(completion, Completion):  # core reports any other type
            yield TextDelta(completion.text)
        yield completion

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield what ``stream`` yields, without blocking the event loop."""
        completion = await self.acomplete(request)
        if isinstance(completion, Completion):
            yield TextDelta(completion.text)
        yield completion
