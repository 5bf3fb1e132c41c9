"""Turns from a list of messages, or of turns, as applications keep them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fibonacci._memory.history.messages import check_messages
from fibonacci.errors import InvalidArgumentError, WrongTypeError
from fibonacci.plugin.models import Message

_PAIR: Final = ("user", "assistant")
"""The fields of a turn that has no roles."""

_ANSWERS: Final = ("assistant", "tool")


def split_turns(value: Any, name: str) -> Iterator[list[Message]]:
    """Yield the messages of each turn. Raises WrongTypeError for what is no list of messages."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise WrongTypeError(
            f"{name} holds no list of messages: a history is made of a list of "
            f'{{"role": …, "content": …}}, or of {{"user": …, "assistant": …}}'
        )
    reason = None
    try:
        yield from _group(value)
    except InvalidArgumentError as error:
        reason = str(error)
    if reason is not None:
        raise WrongTypeError(f"{name} holds a list that can't become a history: {reason}")


def _group(items: Sequence[Mapping[str, Any]]) -> Iterator[list[Message]]:
    """Yield turns. Of messages, one begins with what the user says after an answer."""
    turn: list[Message] = []
    is_answered = False
    for item in items:
        is_message = "role" in item
        message = check_messages([item])[0] if is_message else {}
        if turn and (not is_message or (is_answered and _is_said(message))):
            yield turn
            turn, is_answered = [], False
        if is_message:
            turn.append(message)
            is_answered = is_answered or message["role"] in _ANSWERS
        else:
            yield _pair(item)
    if turn:
        yield turn


def _is_said(message: Message) -> bool:
    """Return whether the user said it: Anthropic's API has the results of tools under that role."""
    content = message.get("content")
    blocks = content if isinstance(content, list | tuple) else ()
    is_result = any(block.get("type") == "tool_result" for block in blocks)
    return message["role"] == "user" and not is_result


def _pair(item: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a turn without roles."""
    for field in item:
        if field not in _PAIR:
            raise InvalidArgumentError(
                f"a turn has the field {field[:40]!r}, which a history has no place for"
            )
    said = [{"role": role, "content": item[role]} for role in _PAIR if item.get(role) is not None]
    return check_messages(said)
