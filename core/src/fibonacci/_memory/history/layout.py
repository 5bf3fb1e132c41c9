"""The layout of a history: one *head* record under its key, and *pages* of older turns beside it.

Only the head decides what the history holds, and only compare-and-set changes it. A page is written
once, before its turns leave the head, and has the number of its first turn in its key. It begins
where the stored head begins, and turns leave the head from its front only, one page at a time. So a
page's key stands for the same turns, after the same pages, whichever writer writes it.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile
from secrets import token_urlsafe
from typing import Any, Final, NamedTuple, Self

import attrs
from attrs.validators import deep_iterable, instance_of, le, min_len, optional

from fibonacci._memory.history.keys import is_generation
from fibonacci.plugin.models import Message

VERSION: Final = 1
"""Of the layout: a head with a higher one was written by a newer release."""

HEAD_BYTES: Final = 7_800
"""Bytes that the head should have at most. Each ``add`` reads and writes it, and Redis compares up
to 8 KiB in one script. A turn that is larger stands in it alone."""

MIN_ROOM: Final = 2_000
"""Bytes of turns that the head may hold, however large the rest of it is."""

PAGE_BYTES: Final = 4_000
"""Bytes of turns in a page at most; a larger turn has a page of its own."""

KNOWN_PAGES: Final = 64
"""The newest pages before it, which a head and a page know: they can be read at once."""

KNOWN_IDS: Final = 256
"""The newest turns with an id of the caller's, which are recognized."""

ID_LENGTH: Final = 10
"""Characters of an id's digest, 6 bits each: 256 of them take 2.5 KB of the head."""

MAX_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that a datetime can be."""


def _count(instance: Any, field: Any, value: Any) -> None:
    """Raise ValueError for what is no count: a whole number from 0."""
    if type(value) is not int or value < 0:
        raise ValueError(field.name)


_str: Final = instance_of(str)


@attrs.frozen(kw_only=True)
class StoredTurn:
    """One turn, as it is stored."""

    id: str = attrs.field(validator=_str)
    added_at: int = attrs.field(validator=[_count, le(MAX_TIME)])
    """Milliseconds since the epoch, by the clock of its writer."""
    tokens: int = attrs.field(validator=_count)
    messages: Sequence[Message] = attrs.field(
        repr=False, validator=deep_iterable(instance_of(dict), min_len(1))
    )

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        return {
            "id": self.id,
            "at": self.added_at,
            "tokens": self.tokens,
            "messages": list(self.messages),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the turn that was stored."""
        return cls(
            id=value["id"],
            added_at=value["at"],
            tokens=value["tokens"],
            messages=value["messages"],
        )


class PageName(NamedTuple):
    """A page that is known without having been read."""

    first: int
    """The number of its first turn."""
    end: int
    """The number after that of its last turn."""
    tokens: int
    """Of all its turns."""


PageSize = Sequence[int]
"""How many turns a page has, and how many tokens: what the head and newer pages keep of it."""


@attrs.frozen(kw_only=True)
class Page:
    """Turns that have left the head, or are about to."""

    first: int = attrs.field(validator=_count)
    """The number of its first turn."""
    before: Sequence[PageSize]
    """The newest pages before it, oldest first."""
    turns: Sequence[StoredTurn]
    mark: str = attrs.field(default="", validator=_str)
    """Who last changed its ttl: another text each time, so that the record's bytes change, too."""

    @property
    def name(self) -> PageName:
        """What it is known by."""
        return PageName(self.first, self.first + len(self.turns), total_tokens(self.turns))

    @property
    def names_before(self) -> list[PageName]:
        """The newest pages before it, oldest first."""
        return _names(self.before, self.first)

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        return {
            "first": self.first,
            "before": list(self.before),
            "turns": [turn.to_json() for turn in self.turns],
            "mark": self.mark,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the page that was stored; any error if it is none."""
        turns = [StoredTurn.from_json(turn) for turn in value["turns"]]
        before, mark = _sizes(value["before"]), value["mark"]
        page = cls(first=value["first"], before=before, turns=turns, mark=mark)
        if not turns:
            raise ValueError
        return page


@attrs.frozen(kw_only=True)
class Summary:
    """What stands for the oldest turns when a model is sent the history."""

    text: str = attrs.field(repr=False, validator=_str)
    end: int = attrs.field(validator=_count)
    """The number of the first turn that is not in it."""
    tokens: int = attrs.field(validator=_count)


@attrs.frozen(kw_only=True)
class Head:
    """The head record."""

    generation: str = attrs.field(factory=lambda: token_urlsafe(16), validator=_str)
    """22 random characters: a history that begins again after it was cleared has others."""
    start: int = attrs.field(default=0, validator=_count)
    """The number of the oldest turn that the history still has."""
    count: int = attrs.field(default=0, validator=_count)
    """How many turns were added in all: the number of the next one."""
    expires: bool = attrs.field(default=False, validator=instance_of(bool))
    """Whether the history may have a ttl, so that a new page must have one, too."""
    touched: int = attrs.field(default=0, validator=_count)
    """How often the ttl was changed: a writer that knows an older one loses."""
    summary: Summary | None = attrs.field(default=None, validator=optional(instance_of(Summary)))
    pages: Sequence[PageSize] = ()
    """The newest pages, oldest first, also those before the start. They end where the head's turns
    begin."""
    ids: str = attrs.field(default="", validator=_str)
    """Digests of the ids that callers passed, of ID_LENGTH characters each; the newest last."""
    turns: Sequence[StoredTurn] = ()
    """The turns that are in no page, oldest first; also some before the start."""

    @property
    def first(self) -> int:
        """The number of the oldest turn in the head."""
        return self.count - len(self.turns)

    @property
    def page_names(self) -> list[PageName]:
        """The newest pages, oldest first."""
        return _names(self.pages, self.first)

    @property
    def unsummarized(self) -> int:
        """The number of the oldest turn that no summary stands for."""
        return self.start if self.summary is None else max(self.start, self.summary.end)

    def knows(self, digest: str) -> bool:
        """Return whether a turn with this id is among the newest."""
        starts = range(0, len(self.ids), ID_LENGTH)
        return any(self.ids[start : start + ID_LENGTH] == digest for start in starts)

    def add(self, turn: StoredTurn, digest: str, max_turns: int | None) -> "Head":
        """Return the head with a new turn; ``max_turns`` only moves the start."""
        count = self.count + 1
        return attrs.evolve(
            self,
            start=self.start if max_turns is None else max(self.start, count - max_turns),
            count=count,
            ids=(self.ids + digest)[-KNOWN_IDS * ID_LENGTH :],
            turns=[*self.turns, turn],
        )

    def without_dropped(self) -> "Head":
        """Return the head without the turns before its start."""
        if self.start <= self.first:
            return self
        return attrs.evolve(self, pages=(), turns=self.turns[self.start - self.first :])

    def oldest_page(self, sizes: Sequence[int]) -> Page:
        """Return the page that leaves the head first: of its oldest turns, as many as fill one.

        ``sizes`` are the bytes of the turns that may leave, at least one.
        """
        filled = takewhile(lambda total: total <= PAGE_BYTES, accumulate(sizes))
        turns = self.turns[: max(1, sum(1 for _ in filled))]
        return Page(first=self.first, before=self.pages, turns=turns)

    def without(self, count: int) -> "Head":
        """Return the head after so many of its oldest turns have left it, as a page."""
        pages = [*self.pages, [count, total_tokens(self.turns[:count])]][-KNOWN_PAGES:]
        return attrs.evolve(self, pages=pages, turns=self.turns[count:])

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        return {
            "history": VERSION,
            "generation": self.generation,
            "start": self.start,
            "count": self.count,
            "expires": self.expires,
            "touched": self.touched,
            "summary": None if self.summary is None else attrs.asdict(self.summary),
            "pages": list(self.pages),
            "ids": self.ids,
            "turns": [turn.to_json() for turn in self.turns],
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the head that was stored; any error if it is none."""
        summary = value["summary"]
        head = cls(
            generation=value["generation"],
            start=value["start"],
            count=value["count"],
            expires=value["expires"],
            touched=value["touched"],
            summary=None if summary is None else Summary(**summary),
            pages=_sizes(value["pages"]),
            ids=value["ids"],
            turns=[StoredTurn.from_json(turn) for turn in value["turns"]],
        )
        oldest = head.first - sum(count for count, _ in head.pages)
        if not 0 <= oldest <= head.first or head.unsummarized > head.count:
            raise ValueError
        if not is_generation(head.generation):
            raise ValueError
        if oldest > head.start and len(head.pages) < KNOWN_PAGES:
            raise ValueError
        return head


def is_head(value: Any) -> bool:
    """Return whether a value is a head, of whatever version."""
    if not isinstance(value, dict) or type(value.get("history")) is not int:
        return False
    return isinstance(value.get("generation"), str) and isinstance(value.get("turns"), list)


def total_tokens(items: Iterable[StoredTurn | PageName]) -> int:
    """Return the tokens of turns, or of pages."""
    return sum(item.tokens for item in items)


def _sizes(value: Any) -> list[PageSize]:
    """Return the sizes of pages that were stored; any error if they are none."""
    if not all(
        type(count) is type(tokens) is int and count > 0 <= tokens for count, tokens in value
    ):
        raise ValueError
    return list(value)


def _names(sizes: Sequence[PageSize], end: int) -> list[PageName]:
    """Return the names of pages that follow one another, up to a turn's number."""
    names = []
    for count, tokens in reversed(sizes):
        names.append(PageName(end - count, end, tokens))
        end -= count
    return names[::-1]
