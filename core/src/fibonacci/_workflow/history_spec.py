"""A node's history: the forms that users write, checked, and parsed into one form."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Required, TypedDict

import attrs

from fibonacci._memory.numbers import is_count
from fibonacci._workflow.memory_spec import check_fields, parse_scope
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin.address import Scope
from fibonacci.plugin.models import Model, ModelRequest

DEFAULT_MAX_TOKENS: Final = 3_000
"""Of the window: with the 1,024 tokens of a completion, about what a small local model takes."""

MIN_SUMMARY: Final = 32
"""Tokens of a summary: its introduction takes 13 of them."""

ModelForm = str | Model | Callable[[ModelRequest], Any]
"""What a node's ``model`` takes."""


class HistoryCompaction(TypedDict, total=False):
    """Which model summarizes the oldest turns of a node's history; the dict in its ``compact``.

    Args:
        model: writes the summaries: like the ``model`` of a node.
        keep_tokens: tokens of the newest turns that stay as they are, and of a summary at most: 32
            or more; None: half of the history's ``max_tokens``, which is also the most.
    """

    model: Required[ModelForm]
    keep_tokens: int | None


class NodeHistory(TypedDict, total=False):
    """The conversation that a node continues; the dict in its ``history``.

    Args:
        key: the history's key; may hold templates.
        scope: where it is; without it, the user scope.
        max_tokens: of the messages that the model is sent, the summary included, by the estimate of
            ``Turn.tokens``; without it, 3,000.
        max_turns: how many turns the model is sent at most; None: as many as fit. Not together with
            ``compact``.
        record: True: after the node has succeeded, its prompt and its completion are added as one
            turn; False: that is left to you; a template: what stands for the prompt in the turn.
        compact: a summary of the oldest turns is made when they begin to be left out: a dict
            (``HistoryCompaction``). None: they are left out.
    """

    key: Required[str]
    scope: Scope
    max_tokens: int
    max_turns: int | None
    record: bool | str
    compact: HistoryCompaction | None


HistoryForm = str | NodeHistory | None
"""What ``history`` takes: a key, or a dict."""


@attrs.frozen(kw_only=True)
class CompactionSpec:
    """Which model summarizes, and how much stays as it is."""

    model: Any
    keep_tokens: int


@attrs.frozen(kw_only=True)
class HistorySpec:
    """The conversation that a node continues."""

    key: str
    """May hold templates."""
    scope: Scope
    max_tokens: int
    max_turns: int | None
    record: bool | str
    """Whether a turn is added; or the template of what stands for the prompt in it."""
    compact: CompactionSpec | None


def parse_history(form: HistoryForm) -> HistorySpec | None:
    """Parse ``history``: a key, or a dict with key, scope, max_tokens, max_turns, record, compact.

    Raises WorkflowValidationError.
    """
    if form is None:
        return None
    fields: Mapping[str, Any] = {"key": form} if isinstance(form, str) else form
    fields = check_fields(fields, "history", tuple(NodeHistory.__annotations__))
    if not isinstance(fields["key"], str) or not fields["key"]:
        raise WorkflowValidationError("history: 'key' must be non-empty text")
    max_tokens = _count(fields.get("max_tokens", DEFAULT_MAX_TOKENS), "max_tokens")
    max_turns, compact = fields.get("max_turns"), fields.get("compact")
    if max_turns is not None and compact is not None:
        raise WorkflowValidationError(
            "history: compact goes by tokens: leave out max_turns, or compact"
        )
    return HistorySpec(
        key=fields["key"],
        scope=parse_scope(fields) or "user",
        max_tokens=max_tokens,
        max_turns=None if max_turns is None else _count(max_turns, "max_turns"),
        record=_check_record(fields.get("record", True)),
        compact=_parse_compaction(compact, max_tokens),
    )


def _count(value: Any, name: str) -> int:
    if not is_count(value):
        raise WorkflowValidationError(f"history: {name} must be a whole number of at least 1")
    count: int = value
    return count


def _check_record(value: Any) -> bool | str:
    if isinstance(value, bool) or (isinstance(value, str) and value):
        return value
    raise WorkflowValidationError(
        "history: record must be True, False, or a template of what stands for the prompt, such as "
        "'{{input.message}}'"
    )


def _parse_compaction(form: Any, max_tokens: int) -> CompactionSpec | None:
    if form is None:
        return None
    if not isinstance(form, Mapping) or form.get("model") in (None, ""):
        raise WorkflowValidationError(
            "history: compact must be a dict with the model that summarizes, such as "
            '{"model": "claude-haiku-4-5"}'
        )
    known = tuple(HistoryCompaction.__annotations__)
    unknown = next((field for field in form if field not in known), None)
    if unknown is not None:
        raise WorkflowValidationError(
            f"history: compact has no field {unknown!r}.{did_you_mean(unknown, known)} "
            f"It takes {', '.join(known)}"
        )
    keep = form.get("keep_tokens")
    keep = max_tokens // 2 if keep is None else _count(keep, "keep_tokens")
    if not MIN_SUMMARY <= keep <= max_tokens // 2:
        raise WorkflowValidationError(
            f"history: keep_tokens of compact must be at least {MIN_SUMMARY}, and at most half of "
            f"max_tokens, which is {max_tokens:,}: a summary may have as many, and has to fit, too"
        )
    return CompactionSpec(model=form["model"], keep_tokens=keep)
