"""Conversation: what a node's model is sent of its history, and the turn that is added to it."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from fibonacci._memory.history.history import History
from fibonacci._memory.history.reading import Window
from fibonacci._memory.reads import MemoryKey, ReadSpec
from fibonacci._workflow.compiled_node import CompiledHistory
from fibonacci._workflow.run import WorkflowRun
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin.models import Message, ModelRequest

_HEAD: Final = ""
"""The head's name among what a node reads; those of its ``memory_read`` are never empty."""


@attrs.define(kw_only=True, eq=False)
class Conversation:
    """The conversation that one node continues in one run."""

    compiled: CompiledHistory
    history: History
    head_key: MemoryKey
    window: Window = attrs.field(factory=Window)
    """What is sent of it."""
    user_content: str | None = None
    """What the turn that is added has as the user's message; None: no turn is added."""

    @property
    def head_spec(self) -> ReadSpec:
        """How the head is read, with what else the node reads."""
        scope, key = self.head_key
        return ReadSpec(name=_HEAD, key=key, scope=scope, is_history=True)

    async def read_window(self, values: dict[str, Any], deadline: float) -> None:
        """Take the head out of the values that the node has read, and read what the model is sent.

        Raises WrongTypeError if the key has another value, and what ``messages`` raises.
        """
        spec, head = self.compiled.spec, values.pop(_HEAD, None)
        self.window = await self.history._read_window(
            head, max_tokens=spec.max_tokens, max_turns=spec.max_turns, deadline=deadline
        )

    def complete_request(self, request: ModelRequest, namespace: Mapping[str, Any]) -> ModelRequest:
        """Return the request with the conversation before the prompt.

        Raises TemplateError, and what the turn would raise later: no model was paid yet.
        """
        if self.compiled.spec.record is not False:
            record = self.compiled.record
            text = request.prompt if record is None else record.render(namespace)
            self._check_turn(text)
            self.user_content = text
        return attrs.evolve(request, messages=self.window.messages)

    def _check_turn(self, text: str) -> None:
        if not text.strip():
            raise InvalidArgumentError(
                "the user's message of the turn would be empty: give a prompt that is not, or "
                "leave the turn to you with record=False in the node's history"
            )
        self.history._check_turn(_turn(text, "a completion"))

    async def add_turn(self, answer: str) -> None:
        """Add the turn to the history. Raises what ``History.add`` raises."""
        assert self.user_content is not None
        await self.history.aadd(*_turn(self.user_content, answer))

    def has_outgrown_its_window(self, answer: str) -> bool:
        """Return whether the next node would be sent less than all that has no summary."""
        tokens = self.window.tokens
        if self.user_content is not None:
            tokens += self.history._estimate_tokens(_turn(self.user_content, answer))
        return not self.window.is_complete or tokens > self.compiled.spec.max_tokens


def open_conversation(compiled: CompiledHistory, run: WorkflowRun) -> Conversation:
    """Return a node's conversation; nothing is read yet.

    Raises TemplateError, InvalidKeyError or ScopeError.
    """
    key = compiled.key.render(run.namespace({}))
    head_key = run.resolve_key(compiled.spec.scope, key)
    return Conversation(compiled=compiled, history=run.history(head_key), head_key=head_key)


def _turn(user: str, answer: str) -> list[Message]:
    """Return the messages of a turn. An answer that says nothing is none: some providers refuse it.

    So a model that has no answer for once fails neither this run nor the next ones.
    """
    question = {"role": "user", "content": user}
    return [question, {"role": "assistant", "content": answer}] if answer.strip() else [question]
