"""How long pages live: longer than their head, whichever callers change a ttl meanwhile.

A page that ends before its head would be lost, one that stays longer does no harm. So a page's ttl
is only ever extended, by a compare-and-set that changes its bytes. It is shortened by one caller
alone: the one that last extended it, and has shortened the head's since.
"""

from contextlib import suppress
from secrets import token_urlsafe
from typing import Final

import attrs

from fibonacci._memory.history.layout import Head, Page
from fibonacci._memory.history.records import HistoryRecords
from fibonacci.errors import OutcomeUnknownError
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import ABSENT

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


async def store_page(records: HistoryRecords, head: Head, page: Page, deadline: float) -> Page:
    """Write a page if no other writer has; return the page that is stored, with a ttl that fits.

    One that was stored earlier may have fewer turns, or more.
    """
    address = records.page_address(head.generation, page.first)
    data = records.context.serializer.serialize(page.to_json(), address)
    ttl_ms = with_margin(await head_ttl_ms(records, deadline)) if head.expires else None
    while True:
        with suppress(OutcomeUnknownError):  # then the page is there, or is written again
            if await records.store.compare_and_set(
                address, ABSENT, data, ttl_ms, deadline=deadline
            ):
                return page
        found = await extend_page(records, address, ttl_ms, new_mark(), deadline)
        if found is not None:
            return found


async def extend_page(
    records: HistoryRecords,
    address: Address,
    ttl_ms: int | None,
    mark: str,
    deadline: float | None = None,
) -> Page | None:
    """Have a page live at least so long, and mark it; return it, or None if it is not there."""
    attempts = 0
    while True:
        data = await records.store.read(address, deadline=records.due(deadline))
        left = await records.store.remaining_ttl_ms(address, deadline=records.due(deadline))
        if data is None or left is ABSENT:
            return None
        page = attrs.evolve(records.parse_page(data, address), mark=mark)
        marked = records.context.serializer.serialize(page.to_json(), address)
        with suppress(OutcomeUnknownError):
            if await records.store.compare_and_set(
                address, data, marked, longer(left, ttl_ms), deadline=records.due(deadline)
            ):
                return page
        attempts += 1
        await records.store.pause(attempts, address, deadline=records.due(deadline))


async def shorten_page(
    records: HistoryRecords, address: Address, ttl_ms: int | None, mark: str
) -> None:
    """Have a page live only so long, if it has this mark: nobody has extended it since."""
    while (data := await records.store.read(address, deadline=records.due())) is not None:
        page = records.parse_page(data, address)
        if page.mark != mark:
            return
        page = attrs.evolve(page, mark=new_mark())  # not as before it was marked
        unmarked = records.context.serializer.serialize(page.to_json(), address)
        with suppress(OutcomeUnknownError):  # then it is unmarked, or is tried again
            await records.store.compare_and_set(
                address, data, unmarked, ttl_ms, deadline=records.due()
            )
