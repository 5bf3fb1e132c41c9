"""The head of a history: its newest turns, and where the older ones are.

A history is one *head* record under the history's key, and *pages* of older turns, each written
once. Only the head decides what the history holds: it counts the turns, and a page's turns are in
it until the page is stored. The head is changed by compare-and-set alone.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Any, Final, Self

import attrs

from fibonacci._memory import codec
from fibonacci._memory.history.messages import Message
from fibonacci.errors import CorruptRecordError, WrongTypeError
from fibonacci.plugin.address import Address

VERSION: Final = 1
"""Of the layout: a higher one was written by a newer release."""

HEAD_BYTES: Final = 32 * 1024
"""Bytes of turns that the head holds, at most; a larger turn stands in it alone."""

PAGE_BYTES: Final = 16 * 1024
"""Bytes of turns in a page, at most; a larger turn has a page of its own."""

KNOWN_PAGES: Final = 64
"""The newest pages, which the head names: they can be read at once."""

KNOWN_IDS: Final = 256
"""The newest ids, which a second try is recognised by."""


@attrs.frozen(kw_only=True)
class Turn:
    """What was said at once: a question and its answer, with the tool calls between them."""

    messages: Sequence[Message]
    at: int
    """When it was added, in milliseconds since the epoch, by its writer's clock."""
    tokens: int
    """An estimate, or what a provider counted."""

    def to_json(self) -> dict[str, Any]:
        return {"at": self.at, "tokens": self.tokens, "messages": list(self.messages)}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        return cls(messages=value["messages"], at=value["at"], tokens=value["tokens"])


@attrs.frozen
class PageName:
    """A page that the head names."""

    first: int
    """The number of its first turn."""
    tokens: int
    """Of all its turns."""


@attrs.frozen(kw_only=True)
class Summary:
    """What stands for the oldest turns when a model is sent the history."""

    text: str
    end: int
    """The number of the first turn that is not in it."""
    tokens: int


@attrs.frozen(kw_only=True)
class Page:
    """Turns that left the head, or will: a function of these turns alone, whoever writes it."""

    first: int
    previous: int | None
    """The number of the first turn of the page before it; None for the first page."""
    turns: Sequence[Turn]

    @property
    def tokens(self) -> int:
        return sum(turn.tokens for turn in self.turns)


@attrs.frozen(kw_only=True)
class Head:
    """The head record."""

    generation: str
    """Random: another one after the history was cleared."""
    start: int = 0
    """The number of the oldest turn that the history still has."""
    count: int = 0
    """How many turns were ever added: the number of the next one."""
    pages: Sequence[PageName] = ()
    """The newest ones, oldest first."""
    turns: Sequence[Turn] = ()
    """The newest ones, oldest first."""
    ids: Sequence[str] = ()
    """Hashes of the newest turns' ids, oldest first."""
    summary: Summary | None = None

    @property
    def first(self) -> int:
        """The number of the oldest turn in the head."""
        return self.count - len(self.turns)

    def full_pages(self, new: Turn, address: Address) -> Iterator[Page]:
        """Yield the pages that have to leave the head to make room for a new turn."""
        sizes = [_size(turn, address) for turn in self.turns]
        room = HEAD_BYTES - _size(new, address)
        start, previous = 0, self.pages[-1].first if self.pages else None
        while start < len(sizes) and sum(sizes[start:]) > room:
            filled = takewhile(lambda total: total <= PAGE_BYTES, accumulate(sizes[start:]))
            end = start + max(1, len(list(filled)))
            page = Page(first=self.first + start, previous=previous, turns=self.turns[start:end])
            yield page
            start, previous = end, page.first

    def without(self, page: Page) -> "Head":
        """Return the head after a page has left it."""
        name = PageName(page.first, page.tokens)
        return attrs.evolve(
            self,
            pages=[*self.pages, name][-KNOWN_PAGES:],
            turns=self.turns[len(page.turns) :],
        )

    def add(self, turn: Turn, id_hash: str | None, max_turns: int | None) -> "Head":
        """Return the head with a new turn."""
        ids = self.ids if id_hash is None else [*self.ids, id_hash][-KNOWN_IDS:]
        count = self.count + 1
        start = self.start if max_turns is None else max(self.start, count - max_turns)
        return attrs.evolve(
            self, count=count, start=start, turns=[*self.turns, turn], ids=ids
        )._without_dropped()

    def _without_dropped(self) -> "Head":
        """Drop what is before the start: turns of the head, and names of pages."""
        turns = self.turns[max(0, self.start - self.first) :]
        ends = [*(page.first for page in self.pages[1:]), self.count - len(turns)]
        pages = [page for page, end in zip(self.pages, ends, strict=False) if end > self.start]
        return attrs.evolve(self, turns=turns, pages=pages)

    def to_json(self) -> dict[str, Any]:
        """Return the record's value."""
        return {
            "history": VERSION,
            "generation": self.generation,
            "start": self.start,
            "count": self.count,
            "pages": [[page.first, page.tokens] for page in self.pages],
            "ids": list(self.ids),
            "summary": None if self.summary is None else attrs.asdict(self.summary),
            "turns": [turn.to_json() for turn in self.turns],
        }


def head_from_json(value: Any, address: Address) -> Head:
    """Return the head. Raises WrongTypeError for any other value, CorruptRecordError."""
    if not isinstance(value, dict) or "history" not in value or "generation" not in value:
        raise WrongTypeError(
            f"{address} holds a {type(value).__name__}, not a history. Choose another key, or "
            f"make a history of it: history.adopt()"
        )
    if value["history"] != VERSION:
        raise CorruptRecordError(
            f"{address} is a history of layout {value['history']!r}, and this release knows "
            f"{VERSION}: upgrade fibonacci-core"
        )
    try:
        return Head(
            generation=value["generation"],
            start=value["start"],
            count=value["count"],
            pages=[PageName(first, tokens) for first, tokens in value["pages"]],
            ids=value["ids"],
            summary=None if value["summary"] is None else Summary(**value["summary"]),
            turns=[Turn.from_json(turn) for turn in value["turns"]],
        )
    except (KeyError, TypeError, ValueError):
        pass
    raise CorruptRecordError(f"the history {address} is corrupt: delete or overwrite it")


def _size(turn: Turn, address: Address) -> int:
    return len(codec.encode(turn.to_json(), address)) + 1  # and its comma
