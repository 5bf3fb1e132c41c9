"""What a models plugin provides: a model that completes a prompt, whole or as a stream.

Only ``complete`` is required. The async and streaming methods have defaults that call it: correct,
but the text arrives in one piece.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, Literal

import attrs

from fibonacci.errors import ModelError
from fibonacci.plugin._runtime.threads import run_in_thread

Message = dict[str, Any]
"""One message of a conversation, ``{"role": …, "content": …}``: content is text or a list of blocks
as providers define them, and other fields are kept as they are."""

StopReason = Literal["end", "max_tokens", "stop"]
"""Why a completion ended: by itself, at ``max_tokens``, or at a text of ``stop``."""

_TEXT_BLOCKS: Final = ("text", "input_text", "output_text")
"""The types of blocks that hold text, in the APIs of Anthropic and OpenAI."""


@attrs.frozen(kw_only=True)
class ModelSettings:
    """What core passes to ``fibonacci_model``."""

    model: str
    """The model's name: what follows ``provider:``, or the whole text if a prefix matched it."""


def _as_tuple(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages that no model can add to: the next attempt gets the same."""
    return tuple(messages)


@attrs.frozen(kw_only=True)
class ModelRequest:
    """One request to a model."""

    messages: Sequence[Message] = attrs.field(
        default=(), converter=_as_tuple, repr=False, hash=False
    )
    """The conversation before the prompt, oldest message first; not to be changed. Roles are those
    of a history: system, developer, user, assistant and tool."""
    prompt: str = attrs.field(repr=False)
    """The user's message, rendered: the last one of the conversation."""
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
    user_id: str | None = attrs.field(default=None, repr=False, eq=False)
    """The user of the run; None if it has none. For accounts and limits of your own: no provider of
    ours sends it. Like the next two it is not compared."""
    run_id: str | None = attrs.field(default=None, eq=False)
    """The run, as ``ExecutionResult.run_id``; None outside a run."""
    node_id: str | None = attrs.field(default=None, eq=False)
    """The node that sends the request; None outside a run."""


@attrs.frozen(kw_only=True)
class Usage:
    """Numbers of tokens; can be added."""

    input_tokens: int = 0
    """Tokens of the system message, the messages and the prompt, with everything that the provider
    adds around them."""
    output_tokens: int = 0
    """Tokens of the completion."""
    cache_read_tokens: int = 0
    """Those of ``input_tokens`` that the provider had in its cache, and charges less for."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
        )


@attrs.frozen(kw_only=True)
class Completion:
    """A model's whole completion."""

    text: str = attrs.field(repr=False, validator=attrs.validators.instance_of(str))
    """The text; not in the repr."""
    usage: Usage = attrs.field(default=Usage(), validator=attrs.validators.instance_of(Usage))
    """The tokens used; zeros if the provider does not count."""
    stop_reason: StopReason | None = None
    """Why it ended: by itself, at ``max_tokens``, at a text of ``stop``; None if unknown."""
    model: str | None = None
    """The name of the model, if the service says which one it was."""


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
    """The optional fields of a request that this model supports: "temperature", "stop", "messages".
    A node that sets another is refused before the run starts; no option is silently ignored."""

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


def message_text(message: Message) -> str:
    """Return the text of a message, for a model that takes text only.

    The texts of blocks are joined by blank lines; a refusal in OpenAI's form is a text, too. Raises
    ModelError for a block of another type, a tool's result and tool calls: what a model can't be
    sent is never left out.

    Args:
        message: one of a request's ``messages``.
    """
    role, content = message["role"], message.get("content") or message.get("refusal")
    if role == "tool" or message.get("tool_calls") or message.get("function_call"):
        raise ModelError("the history has a tool call, or the result of one: this model takes text")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
    return "\n\n".join(_block_text(block) for block in blocks)


def _block_text(block: Mapping[str, Any]) -> str:
    kind, text = block.get("type"), block.get("text")
    if kind in _TEXT_BLOCKS and isinstance(text, str):
        return text
    shown = repr(kind[:40]) if isinstance(kind, str) else type(kind).__name__
    raise ModelError(f"the history has a block of the type {shown}: this model takes text only")
