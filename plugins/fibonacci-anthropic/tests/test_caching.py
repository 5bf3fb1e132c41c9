"""Prompt caching: which blocks of a request get ``cache_control``."""

from copy import deepcopy
from typing import Any, Literal

import pytest

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import Message, ModelRequest
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY, Complete
from .fake_service import FakeService, response

CACHED = {"cache_control": {"type": "ephemeral"}}
ASKED = {"role": "user", "content": "Where is Ada?"}
ANSWERED = {"role": "assistant", "content": "In London."}
PROMPT = {"role": "user", "content": "Since when?"}
TEXT = {"type": "text", "text": "In London."}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
REDACTED = {"type": "redacted_thinking", "data": "EqQBCgIYAhIM"}


def body_for(
    service: FakeService,
    *messages: Message,
    cache: Literal["5m", "1h"] | None = "5m",
    **fields: Any,
) -> dict[str, Any]:
    """Return the body of a request of a model that caches; the messages stay unchanged."""
    service.add_replies(response("yes"))
    before = deepcopy(messages)
    model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url, cache=cache)
    model.complete(ModelRequest(messages=messages, prompt="Since when?", **fields))
    assert messages == before
    return service.requests[-1].body


def answer(*blocks: Message) -> Message:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    ("cache", "control"),
    [("5m", {"type": "ephemeral"}), ("1h", {"type": "ephemeral", "ttl": "1h"})],
)
def test_system_prompt_and_history_are_cached(
    service: FakeService, complete: Complete, cache: Literal["5m", "1h"], control: dict[str, str]
) -> None:
    """The system prompt and the last message of the history are marked, and not the prompt."""
    service.add_replies(response("yes"))
    model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url, cache=cache)
    complete(
        model,
        ModelRequest(messages=[ASKED, ANSWERED], system_prompt="Be brief.", prompt="Since when?"),
    )
    body = service.requests[0].body
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": control}]
    cached = answer({**TEXT, "cache_control": control})
    assert body["messages"] == [ASKED, cached, PROMPT]


def test_nothing_is_cached_by_default(service: FakeService) -> None:
    """Without ``cache`` the request has no cache_control."""
    body = body_for(service, ASKED, ANSWERED, cache=None, system_prompt="Be brief.")
    assert body["system"] == "Be brief."
    assert body["messages"] == [ASKED, ANSWERED, PROMPT]


def test_request_without_a_history(service: FakeService) -> None:
    """Without a history the system prompt is marked, if there is one."""
    body = body_for(service, system_prompt="Be brief.")
    assert body["system"] == [{"type": "text", "text": "Be brief.", **CACHED}]
    assert body["messages"] == [PROMPT]
    assert "system" not in body_for(service)


def test_system_messages_are_one_block(service: FakeService) -> None:
    """Messages of the system are cached with the system prompt, as one block."""
    system = {"role": "system", "content": "Answer in French."}
    body = body_for(service, system, system_prompt="Be brief.")
    assert body["system"] == [{"type": "text", "text": "Be brief.\n\nAnswer in French.", **CACHED}]
    assert body["messages"] == [PROMPT]


@pytest.mark.parametrize(
    ("blocks", "cached"),
    [
        ((THINKING, TEXT), [THINKING, {**TEXT, **CACHED}]),
        ((TEXT, THINKING, REDACTED), [{**TEXT, **CACHED}, THINKING, REDACTED]),
        ((TEXT, {"type": "text", "text": " "}), [{**TEXT, **CACHED}]),  # the blank is not sent
    ],
)
def test_last_block_that_can_be_cached(
    service: FakeService, blocks: tuple[Message, ...], cached: list[Message]
) -> None:
    """Of a list of blocks the last one that can be cached is marked."""
    body = body_for(service, ASKED, answer(*blocks))
    assert body["messages"] == [ASKED, answer(*cached), PROMPT]


def test_message_of_thinking_only(service: FakeService) -> None:
    """If no block of the last message can be cached, one of an earlier message is marked."""
    body = body_for(service, ASKED, answer(THINKING))
    cached = {"role": "user", "content": [{"type": "text", "text": ASKED["content"], **CACHED}]}
    assert body["messages"] == [cached, answer(THINKING), PROMPT]
    assert body_for(service, answer(THINKING))["messages"] == [answer(THINKING), PROMPT]


def test_own_cache_control_is_kept(service: FakeService) -> None:
    """A block that has a cache_control of its own keeps it."""
    own = {**TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert body_for(service, answer(own))["messages"] == [answer(own), PROMPT]
    unset = {**TEXT, "cache_control": None}
    assert body_for(service, answer(unset))["messages"] == [answer({**TEXT, **CACHED}), PROMPT]


@pytest.mark.parametrize("cache", ["", "5 m", "24h", True, 300, ["5m"]])
def test_invalid_values_are_refused(cache: Any) -> None:
    """Another value of ``cache`` raises an error that says what is allowed."""
    with pytest.raises(ConfigurationError, match=r'anthropic: cache must be "5m" or "1h".* None'):
        AnthropicModel("claude-x", api_key=KEY, cache=cache)
