"""The parts of a completion in which a model reasons before it answers: ``<think>…</think>``."""

import re
from typing import Final

from fibonacci.plugin.models import Completion

_NAME: Final = "(?:think(?:ing)?|thoughts?|reasoning)"
_TAG: Final = re.compile(rf"<(/?){_NAME}>", re.IGNORECASE)
_OPENING: Final = re.compile(rf"[\s\ufeff]*<{_NAME}>", re.IGNORECASE)
_CLOSING: Final = re.compile(rf"</{_NAME}>", re.IGNORECASE)
_CLOSING_LINE: Final = re.compile(rf"^[ \t]*</{_NAME}>[ \t]*$", re.IGNORECASE | re.MULTILINE)


def after_reasoning(completion: Completion) -> str:
    """Return the answer after the reasoning with which a completion begins; all of it without any.

    Tags further on stay: there a model may write about them. A closing tag on a line of its own
    counts without an opening one: some providers end the prompt with that.
    """
    text, end = completion.text, 0
    while (opening := _OPENING.match(text, end)) is not None:
        closing = _CLOSING.search(text, opening.end())
        if closing is None:
            return "" if completion.stop_reason == "max_tokens" else text[end:].lstrip()
        end = closing.end()
    end = end or _end_of_unopened(text)
    return text[end:].lstrip() if end else text


def _end_of_unopened(text: str) -> int:
    line = _CLOSING_LINE.search(text)
    if line is None or _TAG.search(text, 0, line.start()) is not None:
        return 0
    return line.end()


def without_reasoning(text: str) -> str:
    """Remove what is between ``<think>`` and ``</think>``.

    A block that is not closed extends to the end: the completion was cut off in it. One that is not
    opened began before the completion: some providers end the prompt with the first tag.
    """
    outside: list[str] = []
    thinking, end = False, 0
    for tag in _TAG.finditer(text):
        if not thinking:
            outside.append(text[end : tag.start()])
            if tag[1]:
                outside.clear()
        thinking, end = not tag[1], tag.end()
    return "\n".join(outside if thinking else [*outside, text[end:]])
