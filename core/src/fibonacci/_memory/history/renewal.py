"""A new ttl for a whole history: pages that need more get it first, then the head."""

from time import monotonic
from typing import Final

import attrs

from fibonacci._memory.history.changes import HeadChange, change_head
from fibonacci._memory.history.layout import Head
from fibonacci._memory.history.page_ttl import (
    MARGIN,
    extend_page,
    head_ttl_ms,
    longer,
    new_mark,
    shorten_page,
    with_margin,
)
from fibonacci._memory.history.reading import read_whole
from fibonacci._memory.history.records import HistoryRecords, PageMissing
from fibonacci._memory.history.removal import logged_only, remove_dropped_pages
from fibonacci.errors import ConflictError
from fibonacci.plugin.address import Address

MAX_ROUNDS: Final = 10
"""How often the pages are extended at most, if other callers change the ttl, too."""


class Renewal(HeadChange):
    """One new ttl for a history."""

    def __init__(self, records: HistoryRecords, ttl_ms: int | None) -> None:
        super().__init__()
        self._records = records
        self._ttl_ms = ttl_ms
        self._marks: dict[Address, str] = {}
        """The pages that were extended, and what each was marked with last."""
        self._extended: Head | None = None
        """The head whose pages were extended."""
        self._extended_at = 0.0
        self._is_done = False

    async def run(self) -> bool:
        """Set the ttl; return False if there is no history."""
        for _ in range(MAX_ROUNDS):
            self._extended, self._extended_at = None, monotonic()
            await read_whole(self._records, self._extend_pages)
            if self._extended is None:
                return False
            deadline = self._records.due()
            await change_head(self._records, self, deadline, ttl_ms=self._ttl_ms, renews_ttl=True)
            if self._is_done:
                await self._finish(self._extended)
                return True
        raise ConflictError(
            f"gave up on the ttl of the history {self._records.address}: other callers changed it "
            f"each time"
        )

    async def is_made(self, head: Head) -> bool:
        return False  # what was written counts in `touched`: it is done once more

    async def propose(self, head: Head | None, size: int) -> Head | None:
        known = self._extended
        self._is_done = False
        if head is None or known is None or monotonic() > self._extended_at + MARGIN / 2:
            return None
        if (head.generation, head.touched) != (known.generation, known.touched):
            return None  # once more from the beginning: another caller has changed the ttl
        await self._extend_pages(head)
        self._is_done = True
        return attrs.evolve(head, touched=head.touched + 1, expires=self._ttl_ms is not None)

    async def _extend_pages(self, head: Head) -> None:
        """Have all pages that are new since the last time live as long as both ttls say."""
        first = head.start if self._extended is None else max(head.start, self._extended.first)
        names = await self._records.names_back_to(head, first)
        left = await head_ttl_ms(self._records) if names else 0
        ttl_ms, mark = with_margin(longer(left, self._ttl_ms)), new_mark()
        for name in names:
            address = self._records.page_address(head.generation, name.first)
            self._marks[address] = mark
            if await extend_page(self._records, address, ttl_ms, mark) is None:
                raise PageMissing(head.generation, name)
        self._extended = head

    async def _finish(self, head: Head) -> None:
        """Have the pages end with the head, unless another caller has extended them since.

        Pages of dropped turns, which were not extended, are removed.
        """
        ttl_ms = with_margin(self._ttl_ms)
        for address, mark in self._marks.items():
            await shorten_page(self._records, address, ttl_ms, mark)
        if head.start > 0:
            with logged_only():
                await remove_dropped_pages(self._records, self._records.due())
