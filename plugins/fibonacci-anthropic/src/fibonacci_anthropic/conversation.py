"""The conversation of a request, as the Messages API takes it: system prompt and messages."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Message, ModelRequest, message_text

SYSTEM_ROLES: Final = ("system", "developer")
"""Roles whose messages become part of the system prompt. The newer models take a message of the
system, but only in some places of a conversation, and the older ones refuse it (Anthropic's docs,
"Mid-conversation system messages"); the system prompt serves all."""

SILENT_FIELDS: Final = ("role", "content", "name", "id")
"""Fields of a message that say nothing by themselves."""

STRUCTURE: Final = ("type", "id", "tool_use_id", "name", "media_type", "signature", "cache_control")
"""Fields of a block itself that hold no text of the conversation."""


def system_and_history(request: ModelRequest) -> tuple[str, list[Message]]:
    """Return the system prompt, "" if there is none, and the messages before the prompt.

    The messages are new; the lists and blocks in them are the request's own. A blank message is
    left out: the API refuses it, and would so refuse all later requests of the conversation. Raises
    ModelError.
    """
    messages = [message for message in request.messages if _has_content(message)]
    system = [message_text(message) for message in messages if message["role"] in SYSTEM_ROLES]
    history = [
        {"role": message["role"], "content": _without_blank_texts(message["content"])}
        for message in messages
        if message["role"] not in SYSTEM_ROLES
    ]
    return "\n\n".join(filter(None, [request.system_prompt, *system])), history


def _has_content(message: Message) -> bool:
    """Return whether it has content to send. Raises ModelError for what would be lost."""
    if message["role"] == "tool" or message.get("tool_calls") or message.get("function_call"):
        raise ModelError(
            "anthropic: the history has a tool call, or the result of one, in the form of another "
            "provider: Claude takes them as blocks of the content, tool_use and tool_result"
        )
    if not _is_blank(message.get("content")):
        return True
    if any(value for field, value in message.items() if field not in SILENT_FIELDS):
        raise ModelError(
            "anthropic: the history has a message without content, but with other fields: Claude "
            "takes the content only"
        )
    return False


def _is_blank(content: Any) -> bool:
    if isinstance(content, str):
        return not content.strip()
    return all(map(_is_blank_text, content or ()))


def _without_blank_texts(content: Any) -> Any:
    """Return the content; the API refuses a block of text without any, also beside others."""
    if isinstance(content, str) or not any(map(_is_blank_text, content)):
        return content
    return [block for block in content if not _is_blank_text(block)]


def _is_blank_text(block: Mapping[str, Any]) -> bool:
    """Return whether it is a block of text without any."""
    return block.get("type") == "text" and not str(block.get("text") or "").strip()


def conversation_texts(messages: Iterable[Message]) -> Iterator[str]:
    """Yield all texts of messages, those within blocks included: no error may quote them."""
    for message in messages:
        yield from _content_texts(message.get("content"))


def _content_texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for block in content or ():
        for field, value in block.items():
            if field == "content":  # of a tool's result: text or blocks
                yield from _content_texts(value)
            elif field not in STRUCTURE:
                yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value, the names in it included."""
    pending = [value]
    while pending:
        match pending.pop():
            case str(text):
                yield text
            case list() | tuple() as items:
                pending.extend(items)
            case Mapping() as fields:
                pending.extend(fields)
                pending.extend(fields.values())
