"""Requests with messages before the prompt: what is sent of them, and what is refused."""

from copy import deepcopy
from typing import Any

import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Message, ModelRequest
from fibonacci_anthropic import AnthropicModel

from .conftest import Complete
from .fake_service import FakeService, error_response, response

ASKED = {"role": "user", "content": "Where is Ada?"}
ANSWERED = {"role": "assistant", "content": "In London."}
PROMPT = {"role": "user", "content": "Since when?"}

IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.org/ada.png"}}
BLOCKS: list[Message] = [
    {"role": "user", "content": [{"type": "text", "text": "Who is this?"}, IMAGE]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "A face…", "signature": "EqQBCgIYAhIM"},
            {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"image": 1}},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "is_error": False,
                "content": [{"type": "text", "text": "Ada Lovelace"}],
            }
        ],
    },
]


def body_for(
    service: FakeService,
    model: AnthropicModel,
    complete: Complete,
    *messages: Message,
    **fields: Any,
) -> dict[str, Any]:
    """Return the body of a request with these messages, after checking that they are unchanged."""
    service.add_replies(response("yes"))
    before = deepcopy(messages)
    complete(model, ModelRequest(messages=messages, prompt="Since when?", **fields))
    assert messages == before
    return service.requests[-1].body


def refused(model: AnthropicModel, complete: Complete, *messages: Message) -> str:
    """Return the text of the error for these messages, which is of no use to retry."""
    with pytest.raises(ModelError) as caught:
        complete(model, ModelRequest(messages=messages, prompt="Since when?"))
    assert not caught.value.retryable
    assert caught.value.__cause__ is caught.value.__context__ is None
    return str(caught.value)


def test_model_takes_messages(model: AnthropicModel) -> None:
    """Nodes may set messages for it."""
    assert "messages" in model.supported_options


def test_messages_precede_the_prompt(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """The conversation is sent in its order, and the prompt as the user's last message."""
    body = body_for(service, model, complete, ASKED, ANSWERED)
    assert body["messages"] == [ASKED, ANSWERED, PROMPT]
    assert "system" not in body


def test_two_messages_of_the_user_in_a_row(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """Messages of one role in a row are sent as they are: the service combines them."""
    body = body_for(service, model, complete, ASKED, ASKED, ANSWERED, ANSWERED, ASKED)
    assert body["messages"] == [ASKED, ASKED, ANSWERED, ANSWERED, ASKED, PROMPT]


def test_blocks_are_sent_unchanged(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """Images, thinking, tool calls and their results are sent as they are."""
    body = body_for(service, model, complete, *BLOCKS)
    assert body["messages"] == [*BLOCKS, PROMPT]


def test_other_fields_are_not_sent(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """Of a message the role and the content are sent: the API refuses other fields."""
    message = {**ASKED, "id": "1", "name": "Bob", "tool_calls": None, "at": "12:30"}
    assert body_for(service, model, complete, message)["messages"] == [ASKED, PROMPT]


def test_system_messages_join_the_system_prompt(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """Messages of the system and the developer follow the system prompt, in their order."""
    system = {"role": "system", "content": "Answer in French."}
    blocks = [{"type": "text", "text": "Be brief."}, {"type": "input_text", "text": "Be kind."}]
    developer = {"role": "developer", "content": blocks}
    messages = (system, ASKED, developer, ANSWERED)
    body = body_for(service, model, complete, *messages, system_prompt="You know Ada.")
    assert body["system"] == "You know Ada.\n\nAnswer in French.\n\nBe brief.\n\nBe kind."
    assert body["messages"] == [ASKED, ANSWERED, PROMPT]
    body = body_for(service, model, complete, system)
    assert body["system"] == "Answer in French."


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
@pytest.mark.parametrize(
    "content", [None, "", " \n", [], [{"type": "text", "text": "\n"}, {"type": "text"}]]
)
def test_blank_messages_are_left_out(
    service: FakeService, model: AnthropicModel, role: str, content: object
) -> None:
    """A message that says nothing is left out: the API refuses it."""
    messages = [ASKED, {"role": role, "content": content, "name": "Bob"}, ANSWERED]
    service.add_replies(response("yes"))
    model.complete(ModelRequest(messages=messages, prompt="Since when?"))
    assert service.requests[-1].body["messages"] == [ASKED, ANSWERED, PROMPT]
    assert "system" not in service.requests[-1].body


@pytest.mark.parametrize("content", [None, "", " "])
def test_other_fields_without_content_are_refused(
    model: AnthropicModel, complete: Complete, content: object
) -> None:
    """What a message says in another field only is never left out silently."""
    message = {"role": "assistant", "content": content, "refusal": "hunter2 is a secret"}
    error = refused(model, complete, message)
    assert "a message without content, but with other fields" in error
    assert "hunter2" not in error


CALL = {"id": "call_1", "function": {"name": "hunter2", "arguments": "{}"}}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "hunter2", "tool_call_id": "call_1"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": "hunter2", "tool_calls": [CALL]},
        {"role": "assistant", "content": "", "function_call": CALL["function"]},
    ],
)
def test_tool_calls_of_other_providers_are_refused(
    service: FakeService, model: AnthropicModel, complete: Complete, message: Message
) -> None:
    """A tool call that is not a block, or its result, raises an error that says what to use."""
    error = refused(model, complete, ASKED, message)
    assert "blocks of the content, tool_use and tool_result" in error
    assert "hunter2" not in error
    assert service.requests == []


def test_system_message_with_an_image_is_refused(model: AnthropicModel, complete: Complete) -> None:
    """A system prompt is text: another block in a message of the system is refused."""
    error = refused(model, complete, {"role": "system", "content": [IMAGE]})
    assert "'image'" in error
    assert "ada.png" not in error


@pytest.mark.parametrize("content", ["secret \ud800", [{"type": "text", "text": "secret \ud800"}]])
def test_half_a_surrogate_pair_is_refused(
    model: AnthropicModel, complete: Complete, content: object
) -> None:
    """A message with half a surrogate pair raises an error that does not quote it."""
    error = refused(model, complete, {"role": "user", "content": content})
    assert error == "anthropic: the prompt or the history contains half a surrogate pair"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "my word is hunter2-hunter2"},
        {"role": "system", "content": "my word is hunter2-hunter2"},
        {"role": "user", "content": [IMAGE, {"type": "text", "text": "is hunter2-hunter2"}]},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": [{"type": "text", "text": "hunter2-hunter2"}],
                }
            ],
        },
        {
            "role": "assistant",
            "content": [
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "login",
                    "input": {"words": ["hunter2-hunter2"]},
                }
            ],
        },
    ],
)
def test_errors_quote_no_message(
    service: FakeService, model: AnthropicModel, complete: Complete, message: Message
) -> None:
    """What the service says is left out if it quotes a message, or a part of one."""
    quotation = "messages.1: '...nter2-hunter2' is wrong"
    service.add_replies(error_response(400, "invalid_request_error", quotation))
    error = refused(model, complete, ASKED, message)
    assert error == "anthropic: the service returned an error, 400 invalid_request_error"


def test_errors_may_name_a_tool_call(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """What the service says about ids and types in a conversation is reported."""
    reason = "messages.2: tool_use ids without tool_result blocks: toolu_1"
    service.add_replies(error_response(400, "invalid_request_error", reason))
    assert refused(model, complete, *BLOCKS).endswith(reason)


def test_blank_text_beside_others_is_left_out(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """The API refuses a block of text without any: it is left out, and the others are sent."""
    text_block = {"type": "text", "text": "Hello"}
    content = [{"type": "text", "text": " "}, text_block]
    service.add_replies(response("yes"))
    complete(model, ModelRequest(messages=[{"role": "user", "content": content}], prompt="Hi"))
    assert service.requests[-1].body["messages"][0]["content"] == [text_block]
    assert len(content) == 2


def test_errors_quote_no_input_of_a_tool(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """The fields of a tool's input are texts of the conversation, whatever their names are."""
    block = {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "look_up",
        "input": {"name": "Confidential Patient", "id": {"a patient's own key": 1}},
    }
    for quoted in ("Confidential Patient", "a patient's own key"):
        service.add_replies(error_response(400, "invalid_request_error", f"bad: {quoted}"))
        error = refused(model, complete, ASKED, {"role": "assistant", "content": [block]})
        assert error == "anthropic: the service returned an error, 400 invalid_request_error"
