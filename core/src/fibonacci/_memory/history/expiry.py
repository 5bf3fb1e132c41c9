"""A new ttl for a whole history: the pages get it first, then the head."""

import attrs

from fibonacci._memory.history import keys
from fibonacci._memory.history.changes import change_head
from fibonacci._memory.history.layout import Head
from fibonacci._memory.history.reading import read_whole
from fibonacci._memory.history.records import TTL_MARGIN_MS, HistoryRecords, PageMissing


class Renewal:
    """One new ttl for a history."""

    def __init__(self, records: HistoryRecords, ttl_ms: int | None) -> None:
        self._records = records
        self._ttl_ms = ttl_ms
        self._generation = ""
        self._end = 0
        """The number after that of the last turn whose page has it."""
        self._found = False

    async def run(self) -> bool:
        """Renew the ttl; return False if there is no history.

        A writer that stores a page meanwhile, with the old ttl, finds that the head has changed.
        """
        await read_whole(self._records, self._renew_pages)
        await change_head(
            self._records,
            self._change,
            self._records.deadline(),
            ttl_ms=self._ttl_ms,
            renews_ttl=True,
        )
        return self._found

    async def _change(self, data: bytes | None) -> Head | None:
        head = self._records.parse_head(data)
        self._found = head is not None
        if head is None:
            return None
        await self._renew_pages(head)
        return attrs.evolve(head, touched=head.touched + 1, expires=self._ttl_ms is not None)

    async def _renew_pages(self, head: Head) -> None:
        """Renew the pages that are new since the last time."""
        if head.generation != self._generation:
            self._generation, self._end = head.generation, 0
        ttl_ms = None if self._ttl_ms is None else self._ttl_ms + TTL_MARGIN_MS
        for name in await self._records.names_back_to(head, max(head.start, self._end)):
            address = keys.page_address(self._records.address, head.generation, name.first)
            store, deadline = self._records.handle.store, self._records.deadline()
            if not await store.touch(address, ttl_ms, deadline=deadline):
                raise PageMissing(head.generation, name)
            self._end = name.end
