"""What a models plugin provides: a model that answers a prompt, at once or piece by piece.

Only ``complete`` has to be written. The async voice and the streams have defaults built on it:
correct, and without the pieces.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import attrs

from fibonacci.plugin._runtime.threads import run_in_thread


@attrs.frozen(kw_only=True)
class ModelSettings:
    """What core hands to ``fibonacci_model``."""

    model: str
    """Which model: what stands behind ``provider:``, or the whole text where a prefix claims it."""


@attrs.frozen(kw_only=True)
class ModelRequest:
    """One question to a model."""

    prompt: str = attrs.field(repr=False)
    """What the user's side says, rendered."""
    system_prompt: str | None = attrs.field(default=None, repr=False)
    """What the model is told about its part, rendered."""
    max_tokens: int = 1024
    """Tokens that the answer may have."""
    temperature: float | None = None
    """How freely to choose words, from 0; None: as the provider chooses."""
    stop: tuple[str, ...] = ()
    """Texts at which the answer ends; they are no part of it."""
    output_format: Literal["text", "json"] = "text"
    """What the answer has to be; a provider that can make a model keep to JSON should."""
    output_schema: Mapping[str, Any] | None = None
    """The JSON Schema that an answer in JSON has to fit; core checks it in any case."""
    deadline: float | None = None
    """When the answer is due, as a reading of ``time.monotonic()`` in seconds; None: no limit."""


@attrs.frozen(kw_only=True)
class Usage:
    """Tokens that were read and written; they add up."""

    input_tokens: int = 0
    """Tokens of the prompt, with all that stands around it."""
    output_tokens: int = 0
    """Tokens of the answer."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )


@attrs.frozen(kw_only=True)
class Completion:
    """A model's whole answer."""

    text: str = attrs.field(repr=False, validator=attrs.validators.instance_of(str))
    """All of it, as it is; in no repr."""
    usage: Usage = Usage()
    """What it took; zeros where the provider does not count."""
    stop_reason: Literal["end", "max_tokens", "stop"] | None = None
    """Why it ended: by itself, at ``max_tokens``, at a text of ``stop``; None where unknown."""


@attrs.frozen
class TextDelta:
    """A piece of an answer, as it comes."""

    text: str = attrs.field(repr=False)
    """What the piece adds; in no repr."""


class Model(ABC):
    """Answers prompts. One object serves all threads and event loops.

    A failure is a :class:`~fibonacci.errors.ModelError`, which says whether another try may help;
    the model tries once. No key and no prompt stands in its text.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset()
    """The optional fields of a request that this model heeds: "temperature", "stop". A node that
    sets another is refused before anything runs; nothing is ignored silently."""

    @abstractmethod
    def complete(self, request: ModelRequest) -> Completion:
        """Return the answer. Raises ModelError, at the request's deadline too."""

    async def acomplete(self, request: ModelRequest) -> Completion:
        """Return the answer without holding up the event loop; by default, from a thread."""
        return await run_in_thread(partial(self.complete, request))

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        """Yield the answer's pieces, and at the end the whole: the texts of the pieces joined.

        Closing the iterator early ends the request. Raises what ``complete`` raises.
        """
        whole = self.complete(request)
        if isinstance(whole, Completion):  # what is none, core tells
            yield TextDelta(whole.text)
        yield whole

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield what ``stream`` yields, without holding up the event loop."""
        whole = await self.acomplete(request)
        if isinstance(whole, Completion):
            yield TextDelta(whole.text)
        yield whole
