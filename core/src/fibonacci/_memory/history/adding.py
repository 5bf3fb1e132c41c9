"""Adding a turn: room is made in the head, and the turn is written there."""

import attrs

from fibonacci._memory import codec
from fibonacci._memory.history.changes import HeadChange, change_head
from fibonacci._memory.history.layout import HEAD_BYTES, ID_LENGTH, MIN_ROOM, Head, StoredTurn
from fibonacci._memory.history.page_ttl import store_page
from fibonacci._memory.history.records import HeadChanged, HistoryRecords
from fibonacci._memory.history.removal import remove_dropped_pages, remove_other_generations
from fibonacci.errors import FibonacciError, OutcomeUnknownError
from fibonacci.plugin._runtime.logs import get_logger

_SLACK = ID_LENGTH + 50
"""Bytes by which a head grows with a turn, besides the turn: an id, and digits of its numbers."""


class Addition(HeadChange):
    """One turn on its way into a history."""

    def __init__(
        self,
        records: HistoryRecords,
        turn: StoredTurn,
        *,
        digest: str,
        max_turns: int | None,
        ttl_ms: int | None,
    ) -> None:
        """``digest`` is that of the id that the caller passed, or empty."""
        super().__init__()
        self._records = records
        self._turn = turn
        self._digest = digest
        self._max_turns = max_turns
        self._ttl_ms = ttl_ms
        self._deadline = records.due()
        self._is_known = False
        self._is_new = False
        """Whether it begins the history."""
        self._drops_pages = False

    async def run(self) -> bool:
        """Add the turn; return False if the history had one with the same id."""
        await change_head(self._records, self, self._deadline, ttl_ms=self._ttl_ms)
        await self._remove_pages()
        return not self._is_known

    async def propose(self, found: bytes | None) -> Head | None:
        old = self._records.parse_head(found)
        if old is not None:
            if await self._was_added(old):
                return None
            if self._digest and old.knows(self._digest):
                self._is_known = True
                return None
        # A new generation for each attempt: an earlier one may have had pages, and been cleared.
        head = Head(expires=self._ttl_ms is not None) if old is None else old
        new = head.add(self._turn, self._digest, self._max_turns)
        if len(found or b"") + self._records.size(self._turn) + _SLACK > HEAD_BYTES:
            new = await self._make_room(new)
        self._is_new = old is None
        self._drops_pages = new.start > 0 and new.first > head.first
        return new

    async def _make_room(self, head: Head) -> Head:
        """Return the head with as many turns less as the newest one needs."""
        sizes = [self._records.size(turn) for turn in head.turns]
        rest = len(codec.encode(attrs.evolve(head, turns=()).to_json(), self._records.address))
        room = max(MIN_ROOM, HEAD_BYTES - rest)
        while len(sizes) > 1 and sum(sizes) > room:
            kept = head.without_dropped()
            kept_sizes = sizes[len(head.turns) - len(kept.turns) :]
            if len(kept_sizes) == 1 or sum(kept_sizes) <= room:
                return kept
            count = await self._move_page(head, sizes[:-1])
            head, sizes = head.without(count), sizes[count:]
        return head

    async def _move_page(self, head: Head, sizes: list[int]) -> int:
        """Store a page of the oldest turns; return how many it has."""
        page = head.oldest_page(sizes)
        stored = await store_page(self._records, head, page, self._deadline)
        same = all(map(StoredTurn.__eq__, stored.turns, head.turns[:-1]))
        if not same or list(stored.before) != list(page.before):
            raise self._records.corrupt_error(f"its page {page.first} has other turns")
        if len(stored.turns) >= len(head.turns):
            raise HeadChanged  # its writer knows a newer head
        return len(stored.turns)

    async def _was_added(self, head: Head) -> bool:
        """Return whether an attempt without a response has added the turn.

        If the history was cleared since, the turn is gone in any case, and is added again.
        """
        for proposal in self.unproven:
            number = proposal.count - 1
            if proposal.generation != head.generation or number >= head.count:
                continue
            if number < head.start:
                raise OutcomeUnknownError("the turn, if it was added, was dropped since")
            if await self._read_turn(head, number) == self._turn:
                return True
        return False

    async def _read_turn(self, head: Head, number: int) -> StoredTurn:
        if number >= head.first:
            return head.turns[number - head.first]
        name, *_ = await self._records.names_back_to(head, number, deadline=self._deadline)
        turns = await self._records.read_pages(head, [name], self._deadline)
        return turns[number - name.first]

    async def _remove_pages(self) -> None:
        """Remove pages that are no longer needed. The turn was added, whatever happens here."""
        try:
            if self._is_new:
                await remove_other_generations(self._records, self._deadline)
            elif self._drops_pages:
                await remove_dropped_pages(self._records, self._deadline)
        except (FibonacciError, HeadChanged) as error:
            get_logger("memory").debug(
                "old pages of a history stay in the store until the next time: %s",
                type(error).__name__,
            )
