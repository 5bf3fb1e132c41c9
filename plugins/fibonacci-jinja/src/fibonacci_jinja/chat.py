"""The filter ``chat``: messages, in the forms in which people keep them, as lines of a chat."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

from fibonacci_jinja.parts import Part, call, item, parts, refuse, values
from fibonacci_jinja.text import LIMIT, RefusedError, joined, text

_SPEAKERS: Final = frozenset(
    {"user", "assistant", "system", "developer", "tool", "function"}
    | {"human", "ai", "model", "bot"}
)
_EXTRAS: Final = ("refusal", "audio", "reasoning_content")
_LINE_END: Final = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

_Turn = tuple[str | None, str]
"""Who says it, if that is known, and what."""


def chat(messages: Any) -> str:
    """Return a chat as lines of ``role: content``.

    Only what has a new speaker begins at the left margin: further lines of a message are indented,
    so nobody's words look like another one's turn.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Iterable):
        raise RefusedError(f"chat takes a list of messages, not {type(messages).__name__}")
    lines = map(_line, _turns(list(islice(messages, LIMIT))))
    return joined(chain.from_iterable((line, "\n") for line in lines))[:-1]


def _line(turn: _Turn) -> str:
    speaker, said = turn
    return ("- " if speaker is None else f"{speaker}: ") + _LINE_END.sub("\n  ", said)


def _turns(messages: list[Any]) -> Iterator[_Turn]:
    firsts = [one[0] for one in messages if _is_pair(one)]
    of_roles = all(isinstance(one, str) and one in _SPEAKERS for one in firsts)
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if isinstance(message, str):
            yield None, message
        elif _is_pair(message):
            yield from _pair(message, where, of_roles)
        elif isinstance(message, Mapping):
            yield from _message(message, where)
        else:
            raise refuse(where, f"a message is no {type(message).__name__}")


def _is_pair(message: Any) -> bool:
    return isinstance(message, list | tuple) and len(message) == 2


def _pair(pair: Any, where: str, of_roles: bool) -> Iterator[_Turn]:
    """Yield what a pair says: a role and a content, or a user's words and the answer."""
    if of_roles:
        yield from _spoken(pair[0], parts(pair[1], f"{where}[1]"))
        return
    for index, speaker in enumerate(("user", "assistant")):
        yield from _spoken(speaker, _own(values(pair[index], f"{where}[{index}]")))


def _message(message: Mapping[str, Any], where: str) -> Iterator[_Turn]:
    message = _unwrapped(message)
    speaker = _speaker(message, where)
    if speaker is not None:
        yield from _spoken(speaker, _content(message, where))
        return
    alone = item(message, where)
    if alone is not None:
        yield from _spoken("assistant", [alone])
        return
    speakers = [key for key in message if key in _SPEAKERS]
    if not speakers:
        raise refuse(where, "a message has a role and a content, or is named by its speaker")
    for key in speakers:
        yield from _spoken(key, _own(values(message[key], f"{where}.{key}")))


def _unwrapped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message without what LangChain puts around it."""
    inner = message.get("kwargs" if message.get("type") == "constructor" else "data")
    if "content" in message or not isinstance(inner, Mapping) or "content" not in inner:
        return message
    return {"type": message.get("type"), **inner}


def _speaker(message: Mapping[str, Any], where: str) -> str | None:
    """Return who speaks, where one message is one speaker's."""
    if not message.keys() & {"content", "parts", "tool_calls", "function_call", *_EXTRAS}:
        return None
    kind = message.get("type")
    if "role" not in message and isinstance(kind, str) and kind in _SPEAKERS:
        return kind
    role = message.get("role", "user" if "parts" in message else None)
    if role is None and item(message, where):
        return None
    if not isinstance(role, str) or not role.strip() or not role.isprintable() or ":" in role:
        raise refuse(f"{where}.role", "a role is one line of text without a colon")
    return text(role)


def _content(message: Mapping[str, Any], where: str) -> Iterator[Part]:
    extras = list(_extras(message, where))
    key = "parts" if message.get("parts") else "content"  # some have both, and more in the parts
    content = message.get(key)
    if not (extras and content == ""):
        yield from parts(content, f"{where}.{key}")
    yield from extras


def _extras(message: Mapping[str, Any], where: str) -> Iterator[Part]:
    """Yield what a message says beside its content."""
    for key in _EXTRAS:
        if message.get(key):
            yield from parts({key: message[key]}, f"{where}.{key}")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list | tuple):
        raise refuse(f"{where}.tool_calls", "it is no list")
    for index, called in enumerate(calls):
        yield call(called, f"{where}.tool_calls[{index}]")
    if message.get("function_call"):
        yield call(message["function_call"], f"{where}.function_call")


def _own(said: Iterable[Part]) -> Iterator[Part]:
    """Yield what a named speaker says as the speaker's: it may look like a tool's answer."""
    return (part._replace(by_tool=False) for part in said)


def _spoken(speaker: str, said: Iterable[Part]) -> Iterator[_Turn]:
    """Yield a speaker's turn; what tools answer, in the middle of it, is the tools'."""
    together: list[str] = []
    found = list(said) or [Part("[empty]")]
    for part in found:
        if not part.by_tool:
            together.append(part.text)
            continue
        if together:
            yield speaker, " ".join(together)
        together = []
        yield "tool", part.text
    if together:
        yield speaker, " ".join(together)
