"""The records of one history, in the store: reading its head and its pages."""

from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from math import inf
from time import monotonic
from typing import Any, Final, Self

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
    total_tokens,
)
from fibonacci.errors import (
    BackendUnavailableError,
    ConflictError,
    CorruptRecordError,
    StorageError,
    WrongTypeError,
)
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import AsyncStore

BATCH_SIZE: Final = 100
"""Records in one request."""

_PARSE_ERRORS: Final = (KeyError, TypeError, ValueError, AttributeError)


class HeadChanged(Exception):  # noqa: N818 - no error: what was done with the head is done again
    """The head is no longer the one that was read."""


class PageMissing(HeadChanged):
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
        self._latest = inf

    def until(self, deadline: float) -> Self:
        """Return the same records, for requests that end by the deadline."""
        limited = copy(self)
        limited._latest = deadline
        return limited

    @property
    def store(self) -> AsyncStore:
        """The store; looked up for each request, as the memory may have been closed since."""
        store: AsyncStore = self.handle.store
        return store

    def due(self, deadline: float | None = None) -> float:
        """Return the deadline of a request: that of the operation, or else the request's own."""
        due = monotonic() + self.context.timeout if deadline is None else deadline
        return min(due, self._latest)

    async def back_off(
        self, attempt: int, address: Address, deadline: float, *, is_lost: bool
    ) -> None:
        """Wait before a write of one of them is tried again; ``attempt`` is the one that failed.

        At the deadline raises ConflictError; or BackendUnavailableError, if the response was lost
        to a write that only prepares a change.
        """
        try:
            await self.store.pause(attempt, address, deadline=deadline)
            return
        except ConflictError:
            if not is_lost:
                raise
        raise BackendUnavailableError(f"gave up on {address}: no response until the deadline")

    def size(self, turn: StoredTurn) -> int:
        """Return the bytes that a turn takes in a record, with its comma."""
        return len(codec.encode(turn.to_json(), self.address)) + 1

    def page_address(self, generation: str, first: int) -> Address:
        """Return where a page is."""
        return keys.page_address(self.address, generation, first)

    async def read_head(self, deadline: float | None = None) -> Head | None:
        """Return the head; None without a history. Raises what ``parse_head`` raises."""
        return self.parse_head(await self.store.read(self.address, deadline=self.due(deadline)))

    def parse_head(self, data: bytes | None) -> Head | None:
        """Return the head. Raises what ``get`` raises, and what ``head_of`` raises."""
        if data is None:
            return None
        return self.head_of(self.context.serializer.deserialize(data, self.address))

    def head_of(self, value: Any) -> Head:
        """Return the head with this value; WrongTypeError if it is none, CorruptRecordError."""
        if not is_head(value):
            raise self.wrong_type_error(value)
        if value["history"] > VERSION:
            raise StorageError(
                f"{self.address} is a history of layout version {value['history']}, but this "
                f"release of fibonacci-core supports version {VERSION}: upgrade fibonacci-core"
            )
        with suppress(*_PARSE_ERRORS):
            if value["history"] == VERSION:
                return Head.from_json(value)
        raise self.corrupt_error("its head was changed by another program")

    def serialize_head(self, head: Head) -> bytes:
        """Return the record's bytes. Raises what ``set`` raises for a value."""
        return self.context.serializer.serialize(head.to_json(), self.address)

    def check_head(self, head: Head) -> None:
        """Raise ValueTooLargeError if the store can't hold the head, and what ``set`` raises.

        What counts is the record's size, sealed if it is to be sealed. No request is sent.
        """
        self.store.check_size(self.address, self.serialize_head(head))

    async def read_pages(
        self, head: Head, names: Sequence[PageName], deadline: float | None = None
    ) -> list[StoredTurn]:
        """Return the turns of pages. Raises PageMissing, CorruptRecordError."""
        turns: list[StoredTurn] = []
        for start in range(0, len(names), BATCH_SIZE):
            part = names[start : start + BATCH_SIZE]
            addresses = [self.page_address(head.generation, name.first) for name in part]
            found = await self.store.read_many(addresses, deadline=self.due(deadline))
            for name, data in zip(part, found, strict=True):
                turns += self._expect_page(head, name, data).turns
        return turns

    async def read_page(self, head: Head, name: PageName, deadline: float | None = None) -> Page:
        """Return a page. Raises PageMissing, CorruptRecordError."""
        address = self.page_address(head.generation, name.first)
        data = await self.store.read(address, deadline=self.due(deadline))
        return self._expect_page(head, name, data)

    def _expect_page(self, head: Head, name: PageName, data: bytes | None) -> Page:
        if data is None:
            raise PageMissing(head.generation, name)
        address = self.page_address(head.generation, name.first)
        page = self.parse_page(data, address)
        if page.name != name:
            raise self.corrupt_error(f"{address.key!r} is not the page that was written there")
        return page

    def parse_page(self, data: bytes, address: Address) -> Page:
        """Return the page with these bytes; CorruptRecordError."""
        value = self.context.serializer.deserialize(data, address)
        with suppress(*_PARSE_ERRORS):
            return Page.from_json(value)
        raise self.corrupt_error(f"{address.key!r} is not a page: another program changed it")

    async def raise_if_lost(self, missing: PageMissing, deadline: float | None = None) -> None:
        """Raise CorruptRecordError if the current head still refers to a page that is missing."""
        head, page = await self.read_head(deadline), missing.page
        if head is None or head.generation != missing.generation or head.start >= page.end:
            return
        raise CorruptRecordError(
            f"the history {self.address} has lost its turns {page.first} to {page.end - 1}: the "
            f"record of their page was deleted. clear() the history, or restore the record "
            f"{self.page_address(head.generation, page.first).key!r}"
        ) from None

    async def names_back_to(
        self, head: Head, number: int, max_tokens: float = inf, deadline: float | None = None
    ) -> list[PageName]:
        """Return the names of the pages with turns from a number on, oldest first.

        Only those of the newest ``max_tokens`` tokens, if there are more. The number is not before
        the history's start. Raises PageMissing, CorruptRecordError.
        """
        names = head.page_names
        while names and names[0].first > number and total_tokens(names) < max_tokens:
            before = (await self.read_page(head, names[0], deadline)).names_before
            if not before:
                raise self.corrupt_error(f"its page {names[0].first} knows none before it")
            names = before + names
        needed: list[PageName] = []
        for name in reversed(names):
            if name.end <= number or max_tokens <= 0:
                break
            needed.append(name)
            max_tokens -= name.tokens
        return needed[::-1]

    def wrong_type_error(self, value: Any) -> WrongTypeError:
        """Return the error for a record that is no history."""
        return WrongTypeError(
            f"{self.address} holds a {type(value).__name__}, not a history. Choose another key; if "
            f"it is a list of messages, adopt() makes a history of it"
        )

    def corrupt_error(self, reason: str) -> CorruptRecordError:
        """Return the error for records that do not fit together."""
        return CorruptRecordError(f"the history {self.address} is corrupt: {reason}. clear() it")
