"""Adopting a list that an application kept under a key itself: a history takes its place."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from fibonacci._memory.history.layout import HEAD_BYTES, Head, Page, StoredTurn, is_head
from fibonacci._memory.history.lists import split_turns
from fibonacci._memory.history.page_ttl import (
    head_ttl_ms,
    shorten_page,
    store_page,
    with_margin,
)
from fibonacci._memory.history.records import BATCH_SIZE, HistoryRecords
from fibonacci._memory.history.removal import (
    list_pages,
    logged_only,
    remove_other_generations,
)
from fibonacci.errors import ConflictError, FibonacciError, OutcomeUnknownError
from fibonacci.plugin.address import Address
from fibonacci.plugin.models import Message
from fibonacci.plugin.storage import KEEP_TTL

MAX_ATTEMPTS: Final = 20
"""How often the list is read at most, if others change it meanwhile."""

StoreTurn = Callable[[Sequence[Message]], StoredTurn]


async def adopt(records: HistoryRecords, store_turn: StoreTurn) -> bool:
    """Replace a list by a history with its messages; return False if there is no list.

    The pages are written first: until the head takes the place of the list, nobody reads them.
    """
    adoption = _Adoption(records, store_turn)
    try:
        return await adoption.run()
    except FibonacciError as error:
        if adoption.unknown is None or isinstance(error, OutcomeUnknownError):
            raise
    raise adoption.unknown


@attrs.frozen
class _Copy:
    """A list as a history, of which the pages are stored."""

    head: Head
    pages: Sequence[Page]


class _Adoption:
    """One caller's attempts to adopt a list."""

    def __init__(self, records: HistoryRecords, store_turn: StoreTurn) -> None:
        self.unknown: OutcomeUnknownError | None = None
        """If the response to a head was lost, whose list may still be there."""
        self._expected: bytes | None = None
        """That list."""
        self._records = records
        self._store_turn = store_turn
        self._copies: dict[str, _Copy] = {}
        """By generation: those whose heads may have taken the list's place."""

    async def run(self) -> bool:
        """Adopt the list, until no other writer comes between."""
        records = self._records
        for attempt in range(1, MAX_ATTEMPTS + 1):
            found = await records.store.read(records.address, deadline=records.due())
            if found != self._expected:
                self.unknown = None
            if found is None:
                return await self._finish("")
            value: Any = records.context.serializer.deserialize(found, records.address)
            if is_head(value):
                return await self._finish(value["generation"])
            copy = await self._write_copy(value)
            if await self._replace(found, copy):
                return await self._finish(copy.head.generation)
            await records.store.pause(attempt, records.address, deadline=records.due())
        raise ConflictError(
            f"gave up on adopting {records.address}: other writers changed the list each time"
        )

    async def _write_copy(self, value: Any) -> _Copy:
        """Store the pages of a history with the messages of a list, for ever until it is adopted.

        A page that expires before its head would be lost, and the list's ttl may change meanwhile.
        """
        items = split_turns(value, str(self._records.address))
        copy = _Copy(*build(self._records, [self._store_turn(messages) for messages in items]))
        await write_pages(self._records, copy.head, copy.pages)
        self._copies[copy.head.generation] = copy
        return copy

    async def _replace(self, found: bytes, copy: _Copy) -> bool:
        """Write the head if the list is still the same; return whether it certainly was written."""
        data, store = self._records.serialize_head(copy.head), self._records.store
        try:
            if await store.compare_and_set(
                self._records.address, found, data, KEEP_TTL, deadline=self._records.due()
            ):
                return True
        except OutcomeUnknownError as error:
            self.unknown, self._expected = error, found
            return False  # the next read tells
        await self._remove(copy)
        return False

    async def _finish(self, generation: str) -> bool:
        """Tidy up; return whether the head of this generation is of one of the copies."""
        adopted = self._copies.pop(generation, None)
        with logged_only():
            for copy in list(self._copies.values()):
                await self._remove(copy)
            if adopted is not None:
                await self._restore_pages(adopted)
                await self._limit_ttls(adopted)
                await remove_other_generations(self._records)
        return adopted is not None

    async def _remove(self, copy: _Copy) -> None:
        addresses = [self._page_address(copy, page) for page in copy.pages]
        for start in range(0, len(addresses), BATCH_SIZE):
            part = addresses[start : start + BATCH_SIZE]
            await self._records.store.remove_many(part, deadline=self._records.due())
        del self._copies[copy.head.generation]

    async def _restore_pages(self, copy: _Copy) -> None:
        """Write pages again that were removed before the head was there.

        So they are if the list is deleted, and set again with the same bytes, in that time.
        """
        stored = await list_pages(self._records, copy.head.generation)
        for page in copy.pages:
            if page.first not in stored:
                await store_page(self._records, copy.head, page, self._records.due())

    async def _limit_ttls(self, copy: _Copy) -> None:
        """Have the pages end with the head, unless another caller has extended them since."""
        left = await head_ttl_ms(self._records)
        if left is not None:
            for page in copy.pages:
                address = self._page_address(copy, page)
                await shorten_page(self._records, address, with_margin(left), mark="")

    def _page_address(self, copy: _Copy, page: Page) -> Address:
        return self._records.page_address(copy.head.generation, page.first)


def build(records: HistoryRecords, turns: Sequence[StoredTurn]) -> tuple[Head, list[Page]]:
    """Return the head and the pages of a history with these turns."""
    sizes: list[int] = []
    head = Head(expires=True)  # it has the list's ttl, which may change until it is written
    pages: list[Page] = []
    for turn in turns:
        head = head.add(turn, "", None)
        sizes.append(records.size(turn))
        while sum(sizes) > HEAD_BYTES // 2 and len(sizes) > 1:
            page = head.oldest_page(sizes[:-1])
            pages.append(page)
            head, sizes = head.without(len(page.turns)), sizes[len(page.turns) :]
    return head, pages


async def write_pages(records: HistoryRecords, head: Head, pages: Sequence[Page]) -> None:
    """Write the pages of a head that is not written yet.

    Raises ValueTooLargeError before anything is written, if the store has a limit that it knows.
    """
    items = [serialize_page(records, head, page) for page in pages]
    records.check_head(head)
    for item in items:
        records.store.check_size(*item)
    for start in range(0, len(items), BATCH_SIZE):
        part = items[start : start + BATCH_SIZE]
        await records.store.write_many(part, None, deadline=records.due())


def serialize_page(records: HistoryRecords, head: Head, page: Page) -> tuple[Address, bytes]:
    """Return the address of a page, and its bytes. Raises what ``set`` raises for a value."""
    address = records.page_address(head.generation, page.first)
    return address, records.context.serializer.serialize(page.to_json(), address)
