"""Compaction: a summary takes the place of the oldest turns when a model is sent the history.

The turns stay where they are. A summary takes a model seconds or minutes, so nothing is locked
meanwhile: it counts only if no other summary was made in that time, and turns that were added stay.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from fibonacci._memory.history.changes import change_head
from fibonacci._memory.history.layout import Head, Summary
from fibonacci._memory.history.messages import Message, estimate_tokens, summary_message
from fibonacci._memory.history.reading import Turns, read_newest, read_oldest, read_whole
from fibonacci._memory.history.records import HistoryRecords
from fibonacci.errors import InvalidArgumentError

Summarize = Callable[[list[Message]], Awaitable[Any]]


class Compaction:
    """One attempt to replace the oldest turns of a history by a summary."""

    def __init__(
        self,
        records: HistoryRecords,
        summarize: Summarize,
        *,
        keep_tokens: int,
        portion_tokens: int,
    ) -> None:
        self._records = records
        self._summarize = summarize
        self._keep_tokens = keep_tokens
        self._portion_tokens = portion_tokens

    async def run(self) -> bool:
        """Summarize all turns but the newest, in portions; return whether a summary was stored."""
        end = await read_whole(self._records, self._find_end) or 0
        stored = False
        while True:
            found = await read_whole(self._records, lambda head: self._read_portion(head, end))
            if found is None:
                return stored
            head, portion = found
            if not await self._replace(head, await self._ask(head, portion)):
                return False
            stored = True

    async def _find_end(self, head: Head) -> int:
        """Return the number of the oldest turn that stays as it is."""
        kept = await read_newest(self._records, head, head.unsummarized, self._keep_tokens)
        return kept.first

    async def _read_portion(self, head: Head, end: int) -> tuple[Head, Turns] | None:
        """Return the head, and the oldest turns that have no summary yet; None if none has to."""
        first = head.unsummarized
        if first >= end:
            return None
        budget = self._portion_tokens - (head.summary.tokens if head.summary else 0)
        return head, await read_oldest(self._records, head, first, end, budget)

    async def _ask(self, head: Head, portion: Turns) -> Summary:
        """Return the summary of the last summary and a portion of turns."""
        last = [] if head.summary is None else [summary_message(head.summary.text)]
        text = await self._summarize([*last, *portion.messages])
        if not isinstance(text, str) or not text.strip():
            shown = "empty text" if isinstance(text, str) else type(text).__name__
            raise InvalidArgumentError(
                f"summarize must return the summary as text; it returned {shown}. "
                f"The history is unchanged"
            )
        tokens = estimate_tokens(summary_message(text), self._records.address)
        if tokens > self._keep_tokens:
            raise InvalidArgumentError(
                f"the summary has about {tokens:,} tokens, and may have {self._keep_tokens:,} "
                f"(keep_tokens): have the model write a shorter one. The history is unchanged"
            )
        return Summary(text=text, end=portion.end, tokens=tokens)

    async def _replace(self, seen: Head, summary: Summary) -> bool:
        """Store the summary, if the last one is still the one that was seen; return whether."""
        replaced = False

        async def change(found: bytes | None) -> Head | None:
            nonlocal replaced
            head = self._records.parse_head(found)
            replaced = head is not None and head.summary == summary  # the response was lost
            if replaced or head is None or head.generation != seen.generation:
                return None
            if head.summary != seen.summary:
                return None
            replaced = True
            return attrs.evolve(head, summary=summary)

        await change_head(self._records, change, self._records.deadline(), ttl_ms=None)
        return replaced
