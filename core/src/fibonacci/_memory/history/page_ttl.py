"""How long pages live: longer than their head, whichever callers change a ttl meanwhile.

A page that ends before its head would be lost, one that stays longer does no harm. So a page's ttl
is only ever extended, by a compare-and-set that changes its bytes. It is shortened by one caller
alone: the one that last wrote or extended it, and knows that the head's is shorter since.
"""

from secrets import token_urlsafe
from typing import Final

import attrs

from fibonacci._memory.history.layout import Head, Page
from fibonacci._memory.history.records import HistoryRecords
from fibonacci.errors import OutcomeUnknownError
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import ABSENT, Absent

MARGIN: Final = 3_600
"""Seconds that a page lives longer than its head: the head's ttl may begin later, as it is set
after those of all pages."""


def new_mark() -> str:
    """Return what a page is marked with; it never has the same bytes twice."""
    return token_urlsafe(9)


def with_margin(ttl_ms: int | None) -> int | None:
    """Return the ttl of a page whose head has this one, in milliseconds; None: for ever."""
    return None if ttl_ms is None else ttl_ms + MARGIN * 1_000


def longer(one: int | None, other: int | None) -> int | None:
    """Return the longer ttl, in milliseconds; None: for ever."""
    return None if one is None or other is None else max(one, other)


async def head_ttl_ms(records: HistoryRecords, deadline: float | None = None) -> int | None:
    """Return what the head has left, in milliseconds; None: for ever. 0 if it is gone."""
    left = await records.store.remaining_ttl_ms(records.address, deadline=records.due(deadline))
    return 0 if left is ABSENT else left


class _PageUpdate:
    """One caller's attempts to write one page, until a deadline."""

    def __init__(self, records: HistoryRecords, address: Address, deadline: float | None) -> None:
        self.deadline = records.due(deadline)
        self._records = records
        self._address = address
        self._failed = 0
        self._is_lost = False
        """Whether the newest response was lost."""

    async def try_commit(self, expected: bytes | Absent, data: bytes, ttl_ms: int | None) -> bool:
        """Return whether the page was written, as far as is known; a response may be lost."""
        self._is_lost = False
        try:
            return await self._records.store.compare_and_set(
                self._address, expected, data, ttl_ms, deadline=self.deadline
            )
        except OutcomeUnknownError:
            self._is_lost = True
            return False

    async def back_off(self) -> None:
        """Wait before the next attempt. Raises what ``HistoryRecords.back_off`` raises."""
        self._failed += 1
        await self._records.back_off(
            self._failed, self._address, self.deadline, is_lost=self._is_lost
        )


async def store_page(records: HistoryRecords, head: Head, page: Page, deadline: float) -> Page:
    """Write a page if no other writer has; return the page that is stored, with a ttl that fits.

    One that was stored earlier may have fewer turns, or more.
    """
    address = records.page_address(head.generation, page.first)
    data = records.context.serializer.serialize(page.to_json(), address)
    ttl_ms = with_margin(await head_ttl_ms(records, deadline)) if head.expires else None
    update = _PageUpdate(records, address, deadline)
    while not await update.try_commit(ABSENT, data, ttl_ms):
        found = await extend_page(records, address, ttl_ms, new_mark(), deadline)
        if found is not None:
            return found
        await update.back_off()
    return page


async def extend_page(
    records: HistoryRecords,
    address: Address,
    ttl_ms: int | None,
    mark: str,
    deadline: float | None = None,
) -> Page | None:
    """Have a page live at least so long, and mark it; return it, or None if it is not there."""
    update = _PageUpdate(records, address, deadline)
    while True:
        data = await records.store.read(address, deadline=update.deadline)
        left = await records.store.remaining_ttl_ms(address, deadline=update.deadline)
        if data is None or left is ABSENT:
            return None
        page = attrs.evolve(records.parse_page(data, address), mark=mark)
        marked = records.context.serializer.serialize(page.to_json(), address)
        if await update.try_commit(data, marked, longer(left, ttl_ms)):
            return page
        await update.back_off()


async def shorten_page(
    records: HistoryRecords, address: Address, ttl_ms: int | None, mark: str
) -> None:
    """Have a page live only so long, if it has this mark: nobody has extended it since."""
    update = _PageUpdate(records, address, None)
    while (data := await records.store.read(address, deadline=update.deadline)) is not None:
        page = records.parse_page(data, address)
        if page.mark != mark:
            return
        page = attrs.evolve(page, mark=new_mark())  # not as before it was marked
        unmarked = records.context.serializer.serialize(page.to_json(), address)
        if await update.try_commit(data, unmarked, ttl_ms):
            return
        await update.back_off()
