"""The records of one history, in the store: reading and writing its head and its pages."""

from collections.abc import Sequence
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, Final

from fibonacci._memory import codec
from fibonacci._memory.context import MemoryContext
from fibonacci._memory.history import keys
from fibonacci._memory.history.layout import (
    VERSION,
    Head,
    Page,
    PageName,
    StoredTurn,
    is_head,
)
from fibonacci.errors import (
    CorruptRecordError,
    OutcomeUnknownError,
    StorageError,
    WrongTypeError,
)
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import ABSENT

BATCH_SIZE: Final = 100
"""Records in one request."""

TTL_MARGIN_MS: Final = 1_000
"""A store may round what is left of a ttl; a page must not expire before its head."""


class PageMissing(Exception):  # noqa: N818 - never leaves this package
    """The store has no such page: it is lost, or the history was cleared meanwhile."""

    def __init__(self, generation: str, page: PageName) -> None:
        super().__init__(generation, page)
        self.generation = generation
        self.page = page


class HistoryRecords:
    """The records of one history."""

    def __init__(self, address: Address, context: MemoryContext, handle: Any) -> None:
        """``handle`` is the memory's StoreHandle, or its SyncHandle for sync code."""
        self.address = address
        self.context = context
        self.handle = handle

    def deadline(self) -> float:
        """Return when a request that starts now has to end."""
        return monotonic() + self.context.timeout

    async def read_head(self, deadline: float | None = None) -> Head | None:
        """Return the head; None without a history. Raises what ``parse_head`` raises."""
        data = await self.handle.store.read(self.address, deadline=self._due(deadline))
        return self.parse_head(data)

    def size(self, turn: StoredTurn) -> int:
        """Return the bytes that a turn takes in a record, with its comma."""
        return len(codec.encode(turn.to_json(), self.address)) + 1

    def parse_head(self, data: bytes | None) -> Head | None:
        """Return the head. Raises what ``get`` raises, and what ``head_of`` raises."""
        if data is None:
            return None
        return self.head_of(self.context.serializer.deserialize(data, self.address))

    def head_of(self, value: Any) -> Head:
        """Return the head with this value; WrongTypeError if it is none, CorruptRecordError."""
        if not is_head(value):
            raise WrongTypeError(
                f"{self.address} holds a {type(value).__name__}, not a history. Choose another "
                f"key; if it is a list of messages, adopt() makes a history of it"
            )
        if value["history"] != VERSION:
            raise StorageError(
                f"{self.address} is a history of layout version {value['history']!r}, but this "
                f"release of fibonacci-core supports version {VERSION}: upgrade fibonacci-core"
            )
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            return Head.from_json(value)
        raise self._corrupt_error("its head was changed by another program")

    def serialize_head(self, head: Head) -> bytes:
        """Return the record's bytes. Raises what ``set`` raises for a value."""
        return self.context.serializer.serialize(head.to_json(), self.address)

    async def read_pages(self, head: Head, names: Sequence[PageName]) -> list[StoredTurn]:
        """Return the turns of pages; PageMissing if one is not there."""
        turns: list[StoredTurn] = []
        for start in range(0, len(names), BATCH_SIZE):
            part = names[start : start + BATCH_SIZE]
            addresses = [keys.page_address(self.address, head.generation, n.first) for n in part]
            found = await self.handle.store.read_many(addresses, deadline=self.deadline())
            for name, address, data in zip(part, addresses, found, strict=True):
                if data is None:
                    raise PageMissing(head.generation, name)
                turns += self._parse_page(data, address).turns
        return turns

    async def read_page(self, head: Head, name: PageName) -> Page:
        """Return a page; PageMissing if it is not there."""
        address = keys.page_address(self.address, head.generation, name.first)
        data = await self.handle.store.read(address, deadline=self.deadline())
        if data is None:
            raise PageMissing(head.generation, name)
        return self._parse_page(data, address)

    async def store_page(self, head: Head, page: Page, deadline: float) -> Page:
        """Write a page if no other writer has; return the page that is stored.

        One that was stored earlier may have fewer turns, or more. Its ttl is that of the head, as
        far as the head is still the one that was read.
        """
        address = keys.page_address(self.address, head.generation, page.first)
        data = self.context.serializer.serialize(page.to_json(), address)
        ttl_ms = await self.page_ttl_ms(head, deadline)
        store = self.handle.store
        while True:
            with suppress(OutcomeUnknownError):  # then the page is there, or is written again
                if await store.compare_and_set(address, ABSENT, data, ttl_ms, deadline=deadline):
                    return page
            if await store.touch(address, ttl_ms, deadline=deadline):
                found = await store.read(address, deadline=deadline)
                if found is not None:
                    return self._parse_page(found, address)

    async def raise_if_lost(self, missing: PageMissing) -> None:
        """Raise CorruptRecordError if the current head still refers to a page that is missing."""
        head, page = await self.read_head(), missing.page
        if head is None or head.generation != missing.generation or head.start >= page.end:
            return
        raise CorruptRecordError(
            f"the history {self.address} has lost its turns {page.first} to {page.end - 1}: the "
            f"record of their page was deleted. clear() the history, or restore the record "
            f"{keys.page_address(self.address, head.generation, page.first).key!r}"
        ) from None

    async def names_back_to(
        self, head: Head, number: int, max_tokens: float = inf
    ) -> list[PageName]:
        """Return the names of the pages with turns from a number on, oldest first.

        Only those of the newest ``max_tokens`` tokens, if there are more. PageMissing.
        """
        names = head.page_names
        while names and names[0].first > number and _tokens(names) < max_tokens:
            before = (await self.read_page(head, names[0])).names_before
            if not before:
                raise self._corrupt_error(f"its page {names[0].first} knows none before it")
            names = before + names
        needed: list[PageName] = []
        for name in reversed(names):
            if name.end <= number or max_tokens <= 0:
                break
            needed.append(name)
            max_tokens -= name.tokens
        return needed[::-1]

    async def remove(self) -> None:
        """Remove the head, and then the pages."""
        await self.handle.store.remove(self.address, deadline=self.deadline())
        await self.remove_other_generations()

    async def remove_other_generations(self, deadline: float | None = None) -> None:
        """Remove the pages of generations that the head no longer has."""
        cursor: str | None = ""
        while cursor is not None:
            prefix = keys.page_prefix(self.address)
            pages, cursor = await self._scan_pages(prefix, cursor or None, deadline)
            if not pages:
                continue
            # Read after the pages were listed: a generation whose page was there, and which is not
            # the head's now, never comes back.
            head = await self.read_head(deadline)
            generation = None if head is None else head.generation
            await self._remove([page for page in pages if page.generation != generation], deadline)

    async def remove_dropped_pages(self, head: Head, deadline: float) -> None:
        """Remove the oldest pages whose turns are all before the history's start, up to 100."""
        prefix = keys.page_prefix(self.address, head.generation)
        pages, _ = await self._scan_pages(prefix, None, deadline)
        ends = [*(page.first for page in pages[1:]), head.first]
        dropped = [page for page, end in zip(pages, ends, strict=False) if end <= head.start]
        await self._remove(dropped, deadline)

    async def _scan_pages(
        self, prefix: str, cursor: str | None, deadline: float | None
    ) -> tuple[list[keys.PageKey], str | None]:
        found = await self.handle.store.scan(
            self.address.space,
            prefix=prefix,
            cursor=cursor,
            limit=BATCH_SIZE,
            deadline=self._due(deadline),
        )
        parsed = [keys.parse_page_key(self.address, key) for key in found.keys]
        return [page for page in parsed if page is not None], found.cursor

    async def _remove(self, pages: Sequence[keys.PageKey], deadline: float | None) -> None:
        if pages:
            await self.handle.store.remove_many(
                [keys.page_address(self.address, page.generation, page.first) for page in pages],
                deadline=self._due(deadline),
            )

    async def page_ttl_ms(self, head: Head, deadline: float) -> int | None:
        """Return how long a new page lives: a little longer than the head."""
        if not head.expires:
            return None
        remaining = await self.handle.store.remaining_ttl_ms(self.address, deadline=deadline)
        if remaining is None:
            return None
        return TTL_MARGIN_MS + (0 if remaining is ABSENT else remaining)

    def _corrupt_error(self, reason: str) -> CorruptRecordError:
        return CorruptRecordError(f"the history {self.address} is corrupt: {reason}. Clear it")

    def _due(self, deadline: float | None) -> float:
        """Return the deadline of a request: that of the operation, or the request's own."""
        return self.deadline() if deadline is None else deadline

    def _parse_page(self, data: bytes, address: Address) -> Page:
        value = self.context.serializer.deserialize(data, address)
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            return Page.from_json(value)
        raise CorruptRecordError(
            f"the record {address} is not a page of a history: it was changed by another program"
        )


def _tokens(names: Sequence[PageName]) -> int:
    return sum(name.tokens for name in names)
