"""Finding the JSON value that a model's answer holds.

Models put JSON into a fenced block, write about it before and behind, and think aloud first. What
is found counts in this order:

1. the whole answer, without the parts in which the model thinks;
2. what stands in fenced blocks;
3. objects between words, and lists that hold one;
4. another list between words, where nothing else stands in brackets.

So a number, a text or ``null`` counts as the whole answer, or in a fenced block. Where the node has
a schema, only what fits it counts. Of two equal keys in an object the last one counts, as it does
in what is read from memory.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from fibonacci._workflow.answer_parts import NO_VALUE, Parts, value_of
from fibonacci._workflow.schema import Check
from fibonacci.errors import ModelError
from fibonacci.plugin.models import Completion

_THOUGHT: Final = re.compile(r"<(/?)(?:think(?:ing)?|thoughts?|reasoning)>", re.IGNORECASE)
_NO_JSON: Final = (
    "the answer is not JSON. Ask for nothing but JSON in the prompt, or raise max_tokens"
)
_SEVERAL: Final = (
    "the answer holds several JSON values, and they differ. Ask for one alone in the prompt, or "
    "say which with output_schema"
)


def read_json(answer: Completion, check: Check | None = None) -> Any:
    """Return the value that the answer holds, and that passes the check.

    Raises ModelError, which another attempt may mend; its ``answer`` is the whole text.
    """
    value, fault = _chosen(answer, check)
    if fault is None:
        return value
    fault.answer = answer.text
    raise fault.with_traceback(None)  # the frames that it came through hold what was found


def _chosen(answer: Completion, check: Check | None) -> tuple[Any, ModelError | None]:
    """Return the value that counts, or why there is none."""
    misfit: ModelError | None = None
    for values in _found(answer.text):
        faults = [_fault(check, value) for value in values]
        fitting = [value for value, fault in zip(values, faults, strict=True) if fault is None]
        if len(fitting) > 1 and len({json.dumps(one, sort_keys=True) for one in fitting}) > 1:
            return None, ModelError(_SEVERAL, retryable=True)
        if fitting:
            return fitting[0], None
        misfit = misfit or next(iter(faults), None)
    return None, misfit or ModelError(_NO_JSON, retryable=True)


def _fault(check: Check | None, value: Any) -> ModelError | None:
    try:
        if check is not None:
            check(value)
    except ModelError as fault:
        return fault
    return None


def _found(text: str) -> Iterator[list[Any]]:
    """Yield the values that may be meant, in the order in which they count."""
    bare = text.strip().lstrip("\ufeff")
    for whole in (bare, _without_thoughts(bare)):
        value = value_of(whole)
        if value is not NO_VALUE:
            yield [value]
            return
    parts = Parts(whole)
    yield from (parts.fenced, parts.objects, parts.lists)


def _without_thoughts(text: str) -> str:
    """Leave out what stands between ``<think>`` and ``</think>``.

    A block that is not closed goes on to the end: the answer was cut off in it. One that was not
    opened began before the answer did: some providers end the prompt with the first tag.
    """
    kept: list[str] = []
    thinking, end = False, 0
    for tag in _THOUGHT.finditer(text):
        if not thinking:
            kept.append(text[end : tag.start()])
            if tag[1]:
                kept.clear()
        thinking, end = not tag[1], tag.end()
    return "\n".join(kept if thinking else [*kept, text[end:]])
