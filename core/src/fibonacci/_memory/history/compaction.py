"""Compaction: a summary takes the place of the oldest turns when a model is sent the history.

The turns stay where they are. A summary takes a model seconds or minutes, so nothing is locked
meanwhile: it counts only if no other summary was made in that time, and turns that were added stay.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import inf
from typing import Any

import attrs

from fibonacci._memory.history.changes import HeadChange, change_head
from fibonacci._memory.history.layout import Head, Summary
from fibonacci._memory.history.messages import estimate_tokens, summary_message
from fibonacci._memory.history.reading import Turns, read_newest, read_oldest, read_whole
from fibonacci._memory.history.records import HistoryRecords
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin.models import Message

Summarize = Callable[[list[Message]], Awaitable[Any]]


def summary_limit(keep_tokens: int, portion_tokens: int) -> int:
    """Return how many tokens a summary may have."""
    return min(keep_tokens, portion_tokens // 2)


class Compaction:
    """One attempt to replace the oldest turns of a history by a summary."""

    def __init__(
        self,
        records: HistoryRecords,
        summarize: Summarize,
        *,
        keep_tokens: int,
        portion_tokens: int,
        max_portions: float = inf,
        writing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """``writing`` is entered while a summary is stored."""
        self._records = records
        self._summarize = summarize
        self._keep_tokens = keep_tokens
        self._portion_tokens = portion_tokens
        self._max_portions = max_portions
        self._writing = writing

    async def run(self) -> bool:
        """Summarize all turns but the newest, in portions; return whether a summary was stored."""
        stored = 0
        goal = await read_whole(self._records, self._find_goal)
        while goal is not None and stored < self._max_portions:
            found = await read_whole(self._records, partial(self._read_portion, goal=goal))
            if found is None:
                break
            head, portion = found
            replacement = Replacement(self._records, head, await self._ask(head, portion))
            with self._writing():
                if not await replacement.run():
                    break
            stored += 1
        return stored > 0

    async def _find_goal(self, head: Head) -> "_Goal":
        kept = await read_newest(self._records, head, head.unsummarized, self._keep_tokens)
        return _Goal(head.generation, kept.first)

    async def _read_portion(self, head: Head, *, goal: "_Goal") -> tuple[Head, Turns] | None:
        """Return the head, and the oldest turns that have no summary yet; None at the goal."""
        first = head.unsummarized
        if head.generation != goal.generation or first >= goal.end:
            return None
        budget = self._portion_tokens - (head.summary.tokens if head.summary else 0)
        return head, await read_oldest(self._records, head, first, goal.end, budget)

    async def _ask(self, head: Head, portion: Turns) -> Summary:
        """Return the summary of the last summary and a portion of turns."""
        last = [] if head.summary is None else [summary_message(head.summary.text)]
        text = await self._summarize([*last, *portion.messages])
        if not isinstance(text, str) or not text.strip():
            shown = "empty text" if isinstance(text, str) else type(text).__name__
            raise InvalidArgumentError(
                f"summarize must return the summary as text; it returned {shown}. It was not stored"
            )
        tokens = self._estimate_tokens(text)
        limit = summary_limit(self._keep_tokens, self._portion_tokens)
        if tokens > limit:
            raise InvalidArgumentError(
                f"the summary has about {tokens:,} tokens, and may have {limit:,}: keep_tokens, "
                f"and half of portion_tokens. It was not stored: have the model write a shorter one"
            )
        return Summary(text=text, end=portion.end, tokens=tokens)

    def _estimate_tokens(self, text: str) -> int:
        try:
            return estimate_tokens(summary_message(text), self._records.address)
        except UnicodeEncodeError:
            pass  # the error has the whole text in it
        raise InvalidArgumentError(
            "summarize returned text with half of a surrogate pair in it. It was not stored"
        )


@attrs.frozen
class _Goal:
    """Which turns are to be summarized."""

    generation: str
    end: int
    """The number of the oldest turn that stays as it is."""


class Replacement(HeadChange):
    """A new summary in the place of the last one."""

    def __init__(self, records: HistoryRecords, seen: Head, summary: Summary) -> None:
        """``seen`` is the head that the summary was made from."""
        super().__init__()
        self._records = records
        self._seen = seen
        self._summary = summary
        self._is_done = False

    async def run(self) -> bool:
        """Store the summary, if nothing has replaced the one that was seen; return whether."""
        await change_head(self._records, self, self._records.due())
        return self._is_done

    async def is_made(self, head: Head) -> bool:
        self._is_done = (head.generation, head.summary) == (self._seen.generation, self._summary)
        return self._is_done

    async def propose(self, head: Head | None, size: int) -> Head | None:
        self._is_done = head is not None and (
            (head.generation, head.summary) == (self._seen.generation, self._seen.summary)
        )
        if head is None or not self._is_done:
            return None
        return attrs.evolve(head, summary=self._summary)
