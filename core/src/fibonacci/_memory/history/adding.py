"""Adding a turn: room is made in the head, and the turn is written there."""

from collections.abc import Sequence

import attrs

from fibonacci._memory import codec
from fibonacci._memory.history.changes import HeadChange, change_head
from fibonacci._memory.history.layout import HEAD_BYTES, ID_LENGTH, MIN_ROOM, Head, StoredTurn
from fibonacci._memory.history.page_ttl import store_page
from fibonacci._memory.history.records import HeadChanged, HistoryRecords
from fibonacci._memory.history.removal import (
    logged_only,
    remove_dropped_pages,
    remove_other_generations,
)
from fibonacci.errors import OutcomeUnknownError

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
        self._generation = ""
        """Of the head that was found or proposed last."""
        self._stored_pages_of: set[str] = set()
        """Generations; those that are not the head's were cleared meanwhile."""

    async def run(self) -> bool:
        """Add the turn; return False if the history had one with the same id."""
        await change_head(self._records, self, self._deadline, ttl_ms=self._ttl_ms)
        await self._remove_pages()
        return not self._is_known

    async def propose(self, head: Head | None, size: int) -> Head | None:
        self.is_partial = False
        self._is_new = head is None
        if head is None:
            # A generation for each attempt: an earlier one may have had pages, and been cleared.
            head = Head(expires=self._ttl_ms is not None)
        self._generation = head.generation
        if self._digest and head.knows(self._digest):
            self._is_known = True
            return None
        new = head.add(self._turn, self._digest, self._max_turns)
        if size + self._records.size(self._turn) + _SLACK > HEAD_BYTES:
            new = await self._make_room(head, new)
        if new.start > 0 and new.first > head.first:
            self._drops_pages = True
        return new

    async def _make_room(self, head: Head, new: Head) -> Head:
        """Return the new head with as many old turns less as the newest one needs.

        Only one page at a time leaves a head: a page's key stands for one content as long as each
        page begins where a head begins that was stored. If one is not enough, this returns the old
        head with a page less, and the turn is added to that.
        """
        sizes = [self._records.size(turn) for turn in new.turns]
        if self._fits(kept := new.without_dropped(), sizes):
            return kept  # the store refuses it if it is too large, and nothing else is written
        self._records.check_head(self._final_head(new, sizes))
        count = await self._move_page(head, sizes[:-1])
        if self._fits(moved := new.without(count), sizes):
            return moved
        self.is_partial = True
        return head.without(count)

    def _fits(self, head: Head, sizes: Sequence[int]) -> bool:
        """Return whether all turns of a head may stay in it; ``sizes`` end with theirs."""
        if len(head.turns) == 1:
            return True
        rest = len(codec.encode(attrs.evolve(head, turns=()).to_json(), self._records.address))
        return sum(sizes[-len(head.turns) :]) <= max(MIN_ROOM, HEAD_BYTES - rest)

    def _final_head(self, new: Head, sizes: Sequence[int]) -> Head:
        """Return the head that will have the newest turn, after as many pages as have to leave."""
        while True:
            count = len(new.oldest_page(sizes[:-1]).turns)
            new, sizes = new.without(count), sizes[count:]
            for shorter in (new, new.without_dropped()):
                if self._fits(shorter, sizes):
                    return shorter

    async def _move_page(self, head: Head, sizes: list[int]) -> int:
        """Store a page of the head's oldest turns; return how many it has."""
        page = head.oldest_page(sizes)
        self._stored_pages_of.add(head.generation)
        stored = await store_page(self._records, head, page, self._deadline)
        same = all(map(StoredTurn.__eq__, stored.turns, head.turns))
        if not same or stored.first != page.first or list(stored.before) != list(page.before):
            raise self._records.corrupt_error(f"its page {page.first} has other turns")
        if len(stored.turns) > len(head.turns):
            raise HeadChanged  # its writer knows a newer head
        return len(stored.turns)

    async def is_made(self, head: Head) -> bool:
        """Return whether an attempt without a response has added the turn.

        If the history was cleared since, the turn is gone in any case, and is added again.
        """
        self._generation = head.generation
        for attempt in self.unproven:
            number = attempt.proposal.count - 1
            if attempt.proposal.generation != head.generation or number >= head.count:
                continue
            if number < head.start:
                if self._digest and head.knows(self._digest):
                    return True
                raise OutcomeUnknownError(
                    f"whether the turn was added to {self._records.address} is not known: other "
                    f"writers have dropped the turns of that moment since"
                )
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
        """Remove pages that are no longer needed."""
        with logged_only():
            if self._is_new or self._stored_pages_of - {self._generation}:
                await remove_other_generations(self._records, self._deadline)
            elif self._drops_pages:
                await remove_dropped_pages(self._records, self._deadline)
