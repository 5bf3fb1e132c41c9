"""The conversation of a request, in the roles and the order that chat templates accept."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Message, ModelRequest, message_text

ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""The role in a chat template, by the role in a history."""


def conversation(request: ModelRequest) -> list[tuple[str, str]]:
    """Return the role and the text of each message, the prompt last. Raises ModelError.

    Many templates know one system message, the first of all, and raise an error for a later one or
    leave it out. So all of them become the first: one from the midst of a history would fail each
    later request, too. Many refuse two messages of one role in a row, which are merged.
    """
    messages = [*map(_role_and_text, request.messages), ("user", request.prompt)]
    if request.system_prompt is not None:
        messages.insert(0, ("system", request.system_prompt))
    messages.sort(key=_is_not_system)
    groups = groupby(messages, key=itemgetter(0))
    return [(role, _joined(text for _, text in group)) for role, group in groups]


def request_texts(request: ModelRequest) -> list[str]:
    """Return all texts of a request, unmerged, which no error may quote. Raises ModelError."""
    texts = [text for _, text in map(_role_and_text, request.messages)]
    return [request.prompt, request.system_prompt or "", *texts]


def _role_and_text(message: Message) -> tuple[str, str]:
    text, role = message_text(message), ROLES.get(message["role"])
    if role is None:
        raise ModelError(f"llamacpp: a message of the history has a role other than {[*ROLES]}")
    return role, text


def _is_not_system(message: tuple[str, str]) -> bool:
    role, _ = message
    return role != "system"


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, texts))
