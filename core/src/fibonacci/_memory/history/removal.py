"""Removing a history, and pages that no head refers to any more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fibonacci._memory.history import keys
from fibonacci._memory.history.keys import PageKey
from fibonacci._memory.history.layout import is_head
from fibonacci._memory.history.records import BATCH_SIZE, HeadChanged, HistoryRecords
from fibonacci.errors import FibonacciError, WrongTypeError
from fibonacci.plugin._runtime.logs import get_logger


async def remove_history(records: HistoryRecords) -> None:
    """Remove the head, also one that is corrupt, and then all pages. Raises WrongTypeError."""
    data = await records.store.read(records.address, deadline=records.due())
    if data is not None:
        value = records.context.serializer.deserialize(data, records.address)
        if not is_head(value):
            raise records.wrong_type_error(value)
        await records.store.remove(records.address, deadline=records.due())
    await remove_other_generations(records)


async def remove_other_generations(records: HistoryRecords, deadline: float | None = None) -> None:
    """Remove the pages of all generations but the head's.

    Does nothing while the key has another value: it may be a list that is being adopted, whose
    pages are written before their head.
    """
    pages, cursor = await _scan(records, "", None, deadline)
    while True:
        if pages:
            # Read after the pages were listed: all others were written after their head, so a
            # generation that is not the head's now has been replaced, and never comes back.
            try:
                head = await records.read_head(deadline)
            except WrongTypeError:
                return
            current = head and head.generation
            await _remove(records, [page for page in pages if page.generation != current], deadline)
        if cursor is None:
            return
        pages, cursor = await _scan(records, "", cursor, deadline)


async def remove_dropped_pages(records: HistoryRecords, deadline: float) -> None:
    """Remove the oldest pages whose turns are all before the history's start, up to 100."""
    head = await records.read_head(deadline)
    if head is None:
        return
    names = await records.names_back_to(head, head.start, deadline=deadline)
    oldest = names[0].first if names else head.first
    pages, _ = await _scan(records, head.generation, None, deadline)
    await _remove(records, [page for page in pages if page.first < oldest], deadline)


async def list_pages(records: HistoryRecords, generation: str) -> set[int]:
    """Return the numbers of the first turns of all stored pages of one generation."""
    found: set[int] = set()
    cursor: str | None = None
    while True:
        pages, cursor = await _scan(records, generation, cursor, None)
        found.update(page.first for page in pages)
        if cursor is None:
            return found


@contextmanager
def logged_only() -> Iterator[None]:
    """Log an error instead of raising it: what the caller was asked for is done."""
    try:
        yield
    except (FibonacciError, HeadChanged) as error:
        get_logger("memory").debug(
            "records that a history no longer needs stay in the store: %s", type(error).__name__
        )


async def _scan(
    records: HistoryRecords, generation: str, cursor: str | None, deadline: float | None
) -> tuple[Sequence[PageKey], str | None]:
    """Return some pages of one generation, or of all, in order, and where the next ones begin."""
    found = await records.store.scan(
        records.address.space,
        prefix=keys.page_prefix(records.address, generation),
        cursor=cursor,
        limit=BATCH_SIZE,
        deadline=records.due(deadline),
    )
    parsed = [keys.parse_page_key(records.address, key) for key in found.keys]
    return [page for page in parsed if page is not None], found.cursor


async def _remove(
    records: HistoryRecords, pages: Sequence[PageKey], deadline: float | None
) -> None:
    if pages:
        addresses = [records.page_address(page.generation, page.first) for page in pages]
        await records.store.remove_many(addresses, deadline=records.due(deadline))
