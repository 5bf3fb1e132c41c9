"""Reading turns: those that fit into a window, and those of a range."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs

from fibonacci._memory.history.layout import Head, StoredTurn, total_tokens
from fibonacci._memory.history.messages import summary_message
from fibonacci._memory.history.records import HistoryRecords, PageMissing
from fibonacci.plugin.models import Message

T = TypeVar("T")


@attrs.frozen
class Turns:
    """Turns that follow one another, oldest first."""

    first: int
    """The number of the oldest."""
    turns: Sequence[StoredTurn]

    @property
    def end(self) -> int:
        """The number after that of the newest."""
        return self.first + len(self.turns)

    def between(self, first: int, end: int) -> "Turns":
        """Return the turns with these numbers, without the end."""
        first = max(first, self.first)
        return Turns(first, self.turns[first - self.first : max(0, end - self.first)])

    def newest(self, max_tokens: float) -> "Turns":
        """Return the newest turns that have so many tokens together."""
        count = 0
        for turn in reversed(self.turns):
            max_tokens -= turn.tokens
            if max_tokens < 0:
                break
            count += 1
        return Turns(self.end - count, self.turns[len(self.turns) - count :])

    def oldest(self, max_tokens: float) -> "Turns":
        """Return the oldest turns that have so many tokens together; at least one."""
        count = 0
        for turn in self.turns:
            max_tokens -= turn.tokens
            if count and max_tokens < 0:
                break
            count += 1
        return Turns(self.first, self.turns[:count])

    @property
    def tokens(self) -> int:
        """How many tokens they have together."""
        return total_tokens(self.turns)

    @property
    def messages(self) -> list[Message]:
        """All their messages."""
        return [message for turn in self.turns for message in turn.messages]


async def read_whole(records: HistoryRecords, read: Callable[[Head], Awaitable[T]]) -> T | None:
    """Read the head, and beside it what ``read`` reads; again if the history was cleared meanwhile.

    Returns None if there is no history. Raises CorruptRecordError if a page is lost.
    """
    return await read_beside(records, await records.read_head(), read)


async def read_beside(
    records: HistoryRecords,
    head: Head | None,
    read: Callable[[Head], Awaitable[T]],
    deadline: float | None = None,
) -> T | None:
    """Read what ``read`` reads beside a head; as ``read_whole``, with a head that was read."""
    while head is not None:
        try:
            return await read(head)
        except PageMissing as missing:
            await records.raise_if_lost(missing, deadline)
            head = await records.read_head(deadline)
    return None


@attrs.frozen(kw_only=True)
class Window:
    """What a model is sent of a history."""

    messages: list[Message] = attrs.field(factory=list)
    tokens: int = 0
    is_complete: bool = True
    """Whether no turn was left out but those that the summary stands for."""


async def read_window(
    records: HistoryRecords,
    head: Head,
    max_tokens: float,
    max_turns: float,
    deadline: float | None = None,
) -> Window:
    """Return the summary, if it fits, and then the newest turns that fit."""
    messages: list[Message] = []
    summary, tokens = head.summary, 0
    if summary is not None and summary.tokens <= max_tokens:
        messages.append(summary_message(summary.text))
        tokens = summary.tokens
    first = int(max(head.unsummarized, head.count - max_turns))
    turns = await read_newest(records, head, first, max_tokens - tokens, deadline)
    return Window(
        messages=messages + turns.messages,
        tokens=tokens + turns.tokens,
        is_complete=turns.first <= head.unsummarized,
    )


async def read_newest(
    records: HistoryRecords,
    head: Head,
    first: int,
    max_tokens: float,
    deadline: float | None = None,
) -> Turns:
    """Return the newest turns from a number on that have so many tokens together."""
    turns = _turns_of(head).between(first, head.count)
    left = max_tokens - turns.tokens
    if left > 0 and first < head.first:
        names = await records.names_back_to(head, first, left, deadline)
        paged = await records.read_pages(head, names, deadline)
        number = names[0].first if names else head.first
        turns = Turns(number, [*paged, *head.turns]).between(first, head.count)
    return turns.newest(max_tokens)


async def read_range(records: HistoryRecords, head: Head, first: int, end: int) -> Turns:
    """Return the turns with these numbers, without the end."""
    if first >= head.first:
        return _turns_of(head).between(first, end)
    names = await records.names_back_to(head, first)
    needed = [name for name in names if name.first < end]
    turns = await records.read_pages(head, needed)
    return Turns(needed[0].first, [*turns, *(head.turns if end > head.first else ())]).between(
        first, end
    )


async def read_oldest(
    records: HistoryRecords, head: Head, first: int, end: int, max_tokens: float
) -> Turns:
    """Return the oldest turns of a range that have so many tokens together; at least one."""
    if first < head.first:
        names = await records.names_back_to(head, first)
        total = 0
        for name in names:
            total += name.tokens
            if total > max_tokens and name.first > first:
                end = min(end, name.end)
                break
    return (await read_range(records, head, first, end)).oldest(max_tokens)


def _turns_of(head: Head) -> Turns:
    return Turns(head.first, head.turns)
