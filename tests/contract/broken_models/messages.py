"""Histories that are lost, refused, changed, or kept for the next request."""

import time
from typing import Any

import attrs

from broken_models.sound import Sound, broken
from fibonacci.errors import ModelError
from fibonacci.plugin import Usage, message_text


class Recalls(Sound):
    """A sound model, which repeats the words of the history, too."""

    def words(self, request) -> Any:
        texts = [message_text(message) for message in request.messages]
        return super().words(attrs.evolve(request, prompt="\n".join([*texts, request.prompt])))


@broken("test_history")
class StreamsWithoutTheHistory(Recalls):
    """A stream drops the history."""

    def stream(self, request) -> Any:
        return super().stream(attrs.evolve(request, messages=()))

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_history")
class CompletesWithoutTheHistory(Recalls):
    """Only the async methods send the history."""

    def complete(self, request) -> Any:
        return super().complete(attrs.evolve(request, messages=()))


@broken("test_any_order_of_roles")
class NeedsTurns(Sound):
    """Roles that don't alternate are refused, as the service would."""

    def check(self, request) -> Any:
        roles = [message["role"] for message in request.messages]
        if any(role != "user" for role in roles[::2]):
            raise ModelError("roles must alternate")
        super().check(request)


@broken("test_any_order_of_roles")
class KnowsNoDevelopers(Sound):
    """A role that the service does not know raises KeyError."""

    def check(self, request) -> Any:
        names = {"system": "system", "user": "human", "assistant": "ai", "tool": "tool"}
        self.roles = [names[message["role"]] for message in request.messages]
        super().check(request)


@broken("test_text_blocks")
class JoinsTexts(Sound):
    """A list of blocks raises TypeError."""

    def steps(self, request) -> Any:
        self.history = "".join(message["content"] or "" for message in request.messages)
        return super().steps(request)


@broken("test_text_blocks")
class ShowsBlocks(Recalls):
    """A list of blocks is sent as its repr."""

    def words(self, request) -> Any:
        shown = [one | {"content": str(one["content"])} for one in request.messages]
        return super().words(attrs.evolve(request, messages=shown))


@broken("test_more_than_text")
class ExpectsText(Sound):
    """A block without text raises KeyError."""

    def texts(self, request) -> Any:
        contents = [message["content"] for message in request.messages]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        return [block["text"] for block in blocks]


@broken("test_more_than_text")
class QuotesBlocks(Sound):
    """The error quotes a block of an unknown type."""

    def texts(self, request) -> Any:
        try:
            return super().texts(request)
        except ModelError:
            raise ModelError(f"no text: {request.messages[-1]}") from None


@broken("test_more_than_text")
class HopesForBetterTimes(Sound):
    """The refusal of a block says that a retry may help."""

    def texts(self, request) -> Any:
        try:
            return super().texts(request)
        except ModelError as error:
            raise ModelError(str(error), retryable=True) from None


@broken("test_any_message_text")
class FormatsMessages(Sound):
    """A message is rendered as a format string."""

    def texts(self, request) -> Any:
        return [text % () for text in super().texts(request)]


@broken("test_any_message_text")
class NeedsMessages(Sound):
    """An empty message raises IndexError."""

    def texts(self, request) -> Any:
        return [text[0] + text[1:] for text in super().texts(request)]


@broken("test_messages_are_not_changed")
class AppendsThePrompt(Sound):
    """The prompt is appended to the caller's list."""

    def steps(self, request) -> Any:
        if request.messages:
            request.messages.append({"role": "user", "content": request.prompt})
        return super().steps(request)


@broken("test_messages_are_not_changed")
class MarksTheLastBlock(Sound):
    """The caller's last block gets a field, as where a cache ends."""

    def steps(self, request) -> Any:
        if request.messages and isinstance(request.messages[-1]["content"], list):
            request.messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
        return super().steps(request)


@broken("test_messages_are_not_changed")
class MergesInPlace(Sound):
    """In async code, the caller's first message of each role gets the texts of the others."""

    async def acomplete(self, request) -> Any:
        first = {message["role"]: message for message in reversed(request.messages)}
        for message in request.messages:
            if message is not first[message["role"]] and isinstance(message["content"], str):
                first[message["role"]]["content"] += message["content"]
        return await super().acomplete(request)


@broken("test_history_is_not_kept")
class Remembers(Recalls):
    """A request without a history gets that of the last one."""

    last = ()

    def words(self, request) -> Any:
        self.last = request.messages or self.last
        return super().words(attrs.evolve(request, messages=self.last))


@broken("test_concurrent_histories")
class OneHistory(Recalls):
    """All requests share one history."""

    def complete(self, request) -> Any:
        self.history = request.messages
        time.sleep(0.005)
        return super().complete(attrs.evolve(request, messages=self.history))


@broken("test_usage_of_history")
class CountsNewTokens(Sound):
    """What the service had in its cache is no input."""

    seen = 0

    def whole(self, request, text, count, reason) -> Any:
        whole = super().whole(request, text, count, reason)
        cached = whole.usage.input_tokens if request.messages and self.seen else 0
        self.seen += len(request.messages)
        usage = Usage(
            input_tokens=whole.usage.input_tokens - cached,
            output_tokens=count,
            cache_read_tokens=cached,
        )
        return attrs.evolve(whole, usage=usage)
