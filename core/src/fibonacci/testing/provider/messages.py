"""Conversations: the messages before a prompt, in any order of roles, as text and as blocks."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Message, ModelRequest
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.provider.completions import ODD
from fibonacci.testing.provider.fixtures import ContractFixtures, ModelUnderTest
from fibonacci.testing.provider.sharing import SUBJECTS
from fibonacci.testing.tracebacks import traceback_text


def _message(role: str, content: Any, **fields: Any) -> Message:
    return {"role": role, "content": content, **fields}


USER = _message("user", "My name is Ada, and I like the sea.")
ASSISTANT = _message("assistant", "Hello Ada. Which sea do you like best?")
SYSTEM = _message("system", "Answer in short sentences.")
DEVELOPER = _message("developer", "Ships have names in italics.")
TURNS = [USER, ASSISTANT, _message("user", "The Baltic Sea."), _message("assistant", "I see.")]

ORDERS = {
    "turns": TURNS,
    "user last": [USER, ASSISTANT, USER],
    "users in a row": [USER, USER, ASSISTANT],
    "assistants in a row": [USER, ASSISTANT, ASSISTANT],
    "assistant first": [ASSISTANT, USER, ASSISTANT],
    "system first": [SYSTEM, *TURNS],
    "system later": [USER, ASSISTANT, SYSTEM, *TURNS],
    "system last": [*TURNS, SYSTEM],
    "only system": [SYSTEM],
    "developer": [DEVELOPER, USER, DEVELOPER, ASSISTANT],
}
"""Conversations of text; a history may begin and end anywhere."""

HIDDEN = "The account has the number 47110815."
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": HIDDEN}}

OTHERS = {
    "unknown block": [_message("user", [{"type": "no_such_block", "text": HIDDEN}])],
    "known and unknown block": [
        _message("user", [{"type": "text", "text": HIDDEN}, {"type": "no_such_block", "x": HIDDEN}])
    ],
    "block without a type": [_message("assistant", [{"value": HIDDEN}])],
    "type that is no text": [_message("user", [{"type": [HIDDEN]}])],
    "tool call": [
        _message("user", HIDDEN),
        _message("assistant", None, tool_calls=[CALL]),
        _message("tool", HIDDEN, tool_call_id="call_1"),
        ASSISTANT,
    ],
    "tool result alone": [_message("tool", HIDDEN, tool_call_id="call_0"), ASSISTANT],
}
"""Conversations that are more than text: a model is sent them, or they are refused."""


class MessageTests(ContractFixtures):
    """C36, where the model supports messages."""

    def test_history(self, mixed_provider: ModelUnderTest) -> None:
        """A conversation gets one completion, whole or streamed, sync or async (C36)."""
        request = self._with_messages(mixed_provider, TURNS)
        first = mixed_provider.complete(request)
        self._check_each_way(first, mixed_provider, request)

    @pytest.mark.parametrize("order", ORDERS)
    def test_any_order_of_roles(self, mixed_provider: ModelUnderTest, order: str) -> None:
        """Messages of text get a completion, in any order of their roles (C36)."""
        for system_prompt in (None, "You are a sailor."):
            request = self._with_messages(mixed_provider, ORDERS[order])
            request = attrs.evolve(request, system_prompt=system_prompt, max_tokens=2)
            for _ in range(2):  # once sync, once async
                self.check_completion(mixed_provider.complete(request))

    def test_text_blocks(self, mixed_provider: ModelUnderTest) -> None:
        """A text as a block gets the same completion as the text itself (C36)."""
        texts = ORDERS["system first"]
        blocks = [
            message | {"content": [{"type": "text", "text": message["content"]}]}
            for message in texts
        ]
        first = mixed_provider.complete(self._with_messages(mixed_provider, texts))
        self._check_each_way(first, mixed_provider, self._with_messages(mixed_provider, blocks))

    @pytest.mark.parametrize("kind", OTHERS)
    def test_more_than_text(self, mixed_provider: ModelUnderTest, kind: str) -> None:
        """Other blocks, and tools, get a completion, or an error that quotes none (C36 and C23)."""
        request = self._with_messages(mixed_provider, OTHERS[kind])
        for send in self._each_way(mixed_provider):
            try:
                send(request)
            except ModelError as error:
                self._check_no_text(error)

    @pytest.mark.parametrize("text", ODD, ids=ascii)
    def test_any_message_text(self, mixed_provider: ModelUnderTest, text: str) -> None:
        """Any text in a message gets a completion or a ModelError (C36)."""
        for role in ("user", "assistant", "system"):
            odd = [_message(role, text), _message(role, [{"type": "text", "text": text}])]
            request = self._with_messages(mixed_provider, [USER, ASSISTANT, *odd])
            self.check_response(mixed_provider, attrs.evolve(request, max_tokens=2))

    def test_messages_are_not_changed(self, mixed_provider: ModelUnderTest) -> None:
        """A model does not change the messages of a request, which are the caller's (C36)."""
        block = {"type": "text", "text": "It is deep.", "annotations": []}
        own = _message("user", [block], name="ada", id="message-1")
        messages = [*deepcopy(ORDERS["system later"]), own, deepcopy(own)]
        before = deepcopy(messages)
        request = self._with_messages(mixed_provider, messages)
        for send in self._each_way(mixed_provider):
            send(request)
            assert messages == before

    def test_history_is_not_kept(self, mixed_provider: ModelUnderTest) -> None:
        """A request without a history knows nothing of those before it (C36)."""
        request = self._with_messages(mixed_provider, TURNS)
        first = mixed_provider.complete(self.request)
        for send in self._each_way(mixed_provider):
            send(request)
            self.check_equal(first, mixed_provider.complete(self.request))
            self.check_equal(first, self.check_stream(mixed_provider.stream(self.request)))

    def test_concurrent_histories(self, provider: ModelUnderTest) -> None:
        """Concurrent requests with their own histories get their own completions (C36, C21)."""
        histories = [self._history_about(subject) for subject in SUBJECTS]
        sequential = [
            provider.complete(self._with_messages(provider, messages)) for messages in histories
        ]
        requests = [self._with_messages(provider, messages) for messages in histories]
        calls = [provider.completion_call(request) for request in requests]
        completions = provider.mode.call_concurrently(calls)
        for expected, completion in zip(sequential, completions, strict=True):
            self.check_equal(expected, completion)

    def test_usage_of_history(self, mixed_provider: ModelUnderTest) -> None:
        """The tokens of a history are input tokens, also those in the provider's cache (C36)."""
        request = self._with_messages(mixed_provider, TURNS)
        alone = mixed_provider.complete(self.request).usage
        for _ in range(2):  # the second time they may be in the cache
            usage = mixed_provider.complete(request).usage
            assert usage.input_tokens >= alone.input_tokens
            assert 0 <= usage.cache_read_tokens <= usage.input_tokens

    def _with_messages(self, provider: ModelUnderTest, messages: Sequence[Message]) -> ModelRequest:
        if "messages" not in provider.model.supported_options:
            not_applicable("the model does not support messages, as test_supported_options checks")
        return attrs.evolve(self.with_timeout(), messages=messages)

    def _history_about(self, subject: str) -> list[Message]:
        return [_message("user", f"I like {subject}."), _message("assistant", f"{subject}, yes.")]

    def _each_way(self, mixed_provider: ModelUnderTest) -> list[Callable[[ModelRequest], Any]]:
        """Return complete and stream, each twice: calls are sync and async in turn."""
        return [mixed_provider.complete] * 2 + [mixed_provider.stream] * 2

    def _check_each_way(
        self, first: Completion, mixed_provider: ModelUnderTest, request: ModelRequest
    ) -> None:
        for _ in range(2):
            self.check_equal(first, mixed_provider.complete(request))
        for _ in range(2):
            self.check_equal(first, self.check_stream(mixed_provider.stream(request)))

    def _check_no_text(self, error: ModelError) -> None:
        assert str(error), "an error needs a message"
        assert not error.retryable
        assert HIDDEN not in traceback_text(error)
