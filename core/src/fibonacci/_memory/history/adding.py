"""Adding a turn: room is made in the head, and the turn is written there."""

import attrs

from fibonacci._memory import codec
from fibonacci._memory.history.changes import HeadIsStaleError, change_head
from fibonacci._memory.history.layout import HEAD_BYTES, MIN_ROOM, Head, StoredTurn
from fibonacci._memory.history.records import HistoryRecords
from fibonacci.errors import StorageError
from fibonacci.plugin._runtime.logs import get_logger


@attrs.frozen
class _Attempt:
    """Where the turn is if an attempt has succeeded."""

    generation: str
    number: int


class Addition:
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
        self._records = records
        self._turn = turn
        self._digest = digest
        self._max_turns = max_turns
        self._ttl_ms = ttl_ms
        # One generation for all attempts: a request that got no response may be applied later.
        self._empty = Head(expires=ttl_ms is not None)
        self._deadline = records.deadline()
        self._attempt: _Attempt | None = None
        self._is_known = False
        self._leaves_pages = False
        """Whether the store may now hold pages that no head refers to."""

    async def run(self) -> bool:
        """Add the turn; return False if the history had one with the same id."""
        await change_head(self._records, self._change, self._deadline, ttl_ms=self._ttl_ms)
        if self._leaves_pages:
            await self._remove_pages()
        return not self._is_known

    async def _change(self, found: bytes | None) -> Head | None:
        old = self._records.parse_head(found)
        if old is not None:
            if await self._was_added(old):
                return None
            if self._digest and old.knows(self._digest):
                self._is_known = True
                return None
        head = self._empty if old is None else old
        new = await self._make_room(head.add(self._turn, self._digest, self._max_turns))
        self._leaves_pages = old is None or (new.start > 0 and new.pages != head.pages)
        self._attempt = _Attempt(new.generation, head.count)
        return new

    async def _make_room(self, head: Head) -> Head:
        """Return the head with as many pages less as the newest turn needs."""
        total = len(codec.encode(head.to_json(), self._records.address))
        if total <= HEAD_BYTES:
            return head
        *sizes, size = map(self._records.size, head.turns)
        rest = total - sum(sizes) - size
        room = max(MIN_ROOM, HEAD_BYTES - rest) - size
        while (page := head.full_page(sizes, room)) is not None:
            stored = await self._records.store_page(head, page, self._deadline)
            if len(stored.turns) >= len(head.turns):  # another writer knows a newer head
                raise HeadIsStaleError
            head = head.without(stored)
            sizes = sizes[len(stored.turns) :]
        return head

    async def _was_added(self, head: Head) -> bool:
        """Return whether an attempt without a response has added the turn.

        If the history was cleared since, the turn is gone in any case, and is added again.
        """
        attempt = self._attempt
        if attempt is None or attempt.generation != head.generation:
            return False
        if not head.start <= attempt.number < head.count:
            return False
        if attempt.number >= head.first:
            return head.turns[attempt.number - head.first].id == self._turn.id
        name = (await self._records.names_back_to(head, attempt.number))[0]
        turns = await self._records.read_pages(head, [name])
        return turns[attempt.number - name.first].id == self._turn.id

    async def _remove_pages(self) -> None:
        """Remove pages that are no longer needed. The turn was added, whatever happens here."""
        try:
            head = await self._records.read_head(self._deadline)
            if head is None or head.start == 0:
                await self._records.remove_other_generations(self._deadline)
            else:
                await self._records.remove_dropped_pages(head, self._deadline)
        except StorageError as error:
            get_logger("memory").debug(
                "old pages of a history stay in the store until the next time: %s",
                type(error).__name__,
            )
