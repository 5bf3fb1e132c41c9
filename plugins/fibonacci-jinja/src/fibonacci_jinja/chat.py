"""The filter ``chat``: renders messages, in the formats of services and libraries, as lines."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

from fibonacci_jinja.message_parts import (
    Part,
    content_parts,
    format_error,
    standalone_part,
    tool_call,
    value_parts,
)
from fibonacci_jinja.text import MAX_LENGTH, RefusedError, join_texts, to_text

_ROLES: Final = frozenset(
    {"user", "assistant", "system", "developer", "tool", "function"}
    | {"human", "ai", "model", "bot"}
)
_EXTRA_KEYS: Final = ("refusal", "audio", "reasoning_content")
_LINE_END: Final = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

_Turn = tuple[str | None, str]
"""The role, if it is known, and the text."""


def chat(messages: Any) -> str:
    """Return a chat as lines of ``role: content``.

    Only a new turn begins at the left margin: further lines of a message are indented, so that the
    text of one role can't look like the turn of another.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Iterable):
        raise RefusedError(f"chat takes a list of messages, not {type(messages).__name__}")
    lines = map(_line, _turns(list(islice(messages, MAX_LENGTH))))
    return join_texts(chain.from_iterable((line, "\n") for line in lines))[:-1]


def _line(turn: _Turn) -> str:
    role, content = turn
    return ("- " if role is None else f"{role}: ") + _LINE_END.sub("\n  ", content)


def _turns(messages: list[Any]) -> Iterator[_Turn]:
    firsts = [message[0] for message in messages if _is_pair(message)]
    have_roles = all(isinstance(first, str) and first in _ROLES for first in firsts)
    for index, message in enumerate(messages):
        location = f"messages[{index}]"
        if isinstance(message, str):
            yield None, message
        elif _is_pair(message):
            yield from _pair(message, location, have_roles)
        elif isinstance(message, Mapping):
            yield from _message(message, location)
        else:
            raise format_error(location, f"unsupported message type {type(message).__name__}")


def _is_pair(message: Any) -> bool:
    return isinstance(message, list | tuple) and len(message) == 2


def _pair(pair: Any, location: str, have_roles: bool) -> Iterator[_Turn]:
    """Yield the turns of a pair: a role and its content, or a user's text and the reply."""
    if have_roles:
        yield from _turns_of(pair[0], content_parts(pair[1], f"{location}[1]"))
        return
    for index, role in enumerate(("user", "assistant")):
        yield from _turns_of(role, _as_speaker(value_parts(pair[index], f"{location}[{index}]")))


def _message(message: Mapping[str, Any], location: str) -> Iterator[_Turn]:
    message = _unwrapped(message)
    role = _role(message, location)
    if role is not None:
        yield from _turns_of(role, _message_parts(message, location))
        return
    standalone = standalone_part(message, location)
    if standalone is not None:
        yield from _turns_of("assistant", [standalone])
        return
    roles = [key for key in message if key in _ROLES]
    if not roles:
        raise format_error(location, "a message has a role and a content, or its role as a key")
    for key in roles:
        yield from _turns_of(key, _as_speaker(value_parts(message[key], f"{location}.{key}")))


def _unwrapped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message without LangChain's wrapper."""
    inner = message.get("kwargs" if message.get("type") == "constructor" else "data")
    if "content" in message or not isinstance(inner, Mapping) or "content" not in inner:
        return message
    return {"type": message.get("type"), **inner}


def _role(message: Mapping[str, Any], location: str) -> str | None:
    """Return the role of a message; None if its keys are its roles, or it is a standalone part."""
    if not message.keys() & {"content", "parts", "tool_calls", "function_call", *_EXTRA_KEYS}:
        return None
    kind = message.get("type")
    if "role" not in message and isinstance(kind, str) and kind in _ROLES:
        return kind
    role = message.get("role", "user" if "parts" in message else None)
    if role is None and standalone_part(message, location):
        return None
    if not isinstance(role, str) or not role.strip() or not role.isprintable() or ":" in role:
        raise format_error(f"{location}.role", "a role is one line of text without a colon")
    return to_text(role)


def _message_parts(message: Mapping[str, Any], location: str) -> Iterator[Part]:
    extras = list(_extra_parts(message, location))
    key = "parts" if message.get("parts") else "content"  # some have both, and more in the parts
    content = message.get(key)
    if not (extras and content == ""):
        yield from content_parts(content, f"{location}.{key}")
    yield from extras


def _extra_parts(message: Mapping[str, Any], location: str) -> Iterator[Part]:
    """Yield the parts of a message outside its content."""
    for key in _EXTRA_KEYS:
        if message.get(key):
            yield from content_parts({key: message[key]}, f"{location}.{key}")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list | tuple):
        raise format_error(f"{location}.tool_calls", "it is not a list")
    for index, call in enumerate(calls):
        yield tool_call(call, f"{location}.tool_calls[{index}]")
    if message.get("function_call"):
        yield tool_call(message["function_call"], f"{location}.function_call")


def _as_speaker(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield parts as the named role's own, even if they look like a tool's result."""
    return (part._replace(by_tool=False) for part in parts)


def _turns_of(role: str, parts: Iterable[Part]) -> Iterator[_Turn]:
    """Yield a role's turns; the results of tools between them are turns of the tool."""
    texts: list[str] = []
    for part in list(parts) or [Part("[empty]")]:
        if not part.by_tool:
            texts.append(part.text)
            continue
        if texts:
            yield role, " ".join(texts)
        texts = []
        yield "tool", part.text
    if texts:
        yield role, " ".join(texts)
