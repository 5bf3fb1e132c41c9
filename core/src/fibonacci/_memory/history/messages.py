"""Messages of a conversation: what they may be, and how many tokens they take, by estimate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fibonacci._memory import codec
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin.address import Address
from fibonacci.plugin.models import Message

ROLES: Final = ("system", "developer", "user", "assistant", "tool")
"""The roles of the providers' chat APIs."""

BYTES_PER_TOKEN: Final = 4
MESSAGE_OVERHEAD: Final = 4
"""Tokens that a message takes besides its content: its role, and where it begins and ends."""


def check_messages(messages: Sequence[Any]) -> list[Message]:
    """Return the messages of a turn as new dicts. Raises InvalidArgumentError."""
    if not messages:
        raise InvalidArgumentError("a turn needs at least one message")
    return [_check(message, f"message {number}") for number, message in enumerate(messages)]


def estimate_tokens(message: Message, address: Address) -> int:
    """Return about how many tokens a message takes: ⌈bytes in UTF-8 / 4⌉ + 4.

    Blocks, tool calls and other fields count as the JSON that they are stored as.
    """
    content = message.get("content")
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    if not isinstance(content, str):
        rest["content"], content = content, ""
    size = len(content.encode())
    if any(value is not None for value in rest.values()):
        size += len(codec.encode(rest, address))
    return math.ceil(size / BYTES_PER_TOKEN) + MESSAGE_OVERHEAD


def summary_message(text: str) -> Message:
    """Return the message that a model is sent in the place of the turns that were summarized.

    It is the user's: a summary has in it what users wrote, and must not count as instructions.
    """
    return {"role": "user", "content": f"Summary of the conversation so far: {text}"}


def _check(message: Any, name: str) -> Message:
    if not isinstance(message, Mapping):
        raise InvalidArgumentError(
            f'{name} must be a dict like {{"role": "user", "content": "Hello"}}, '
            f"not {type(message).__name__}"
        )
    role = message.get("role")
    if role not in ROLES:
        shown = repr(role[:40]) if isinstance(role, str) else type(role).__name__
        hint = did_you_mean(role, ROLES) if isinstance(role, str) else ""
        raise InvalidArgumentError(
            f"{name} has the role {shown}: it is one of {', '.join(ROLES)}.{hint}"
        )
    _check_content(message, name)
    return dict(message)


def _check_content(message: Mapping[str, Any], name: str) -> None:
    content = message.get("content")
    if not content and isinstance(content, str | list | tuple | None):
        if message["role"] != "tool" and not _has_more(message):
            raise InvalidArgumentError(f"{name} is empty")
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list | tuple):
        raise InvalidArgumentError(
            f"the content of {name} must be text or a list of blocks, not {type(content).__name__}"
        )
    for number, block in enumerate(content):
        if not isinstance(block, Mapping) or not block:
            raise InvalidArgumentError(
                f"block {number} of {name} must be a dict, such as "
                f'{{"type": "text", "text": "Hello"}}'
            )


def _has_more(message: Mapping[str, Any]) -> bool:
    """Return whether it says something besides content, such as an assistant's tool calls."""
    return any(
        value for field, value in message.items() if field not in ("role", "content", "name", "id")
    )
