"""Changes of a head by compare-and-set, of which it is known in the end whether they were made."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from fibonacci._memory.cas import RecordUpdate
from fibonacci._memory.history.layout import Head
from fibonacci._memory.history.records import HeadChanged, HistoryRecords, PageMissing
from fibonacci.errors import FibonacciError, OutcomeUnknownError


class Attempt(NamedTuple):
    """A proposal whose response was lost: it may have been written, or may yet be."""

    expected: bytes | None
    """What the record had to hold; None: nothing."""
    proposal: Head
    error: OutcomeUnknownError


class HeadChange(ABC):
    """One change of a head; it may be proposed several times."""

    def __init__(self) -> None:
        self.unproven: list[Attempt] = []
        """Whether these were written is not known."""
        self.is_partial = False
        """Whether the last proposal only makes room, and another one has to follow."""

    @abstractmethod
    async def is_made(self, head: Head) -> bool:
        """Return whether an unproven attempt was written after all, by the head that was found.

        Raises PageMissing to be asked again with what is there then.
        """

    @abstractmethod
    async def propose(self, head: Head | None, size: int) -> Head | None:
        """Return the new head for the one that was found; None to leave it as it is.

        ``size`` is that of the record that was found, in bytes. Raises HeadChanged or PageMissing
        to be asked again with what is there then.
        """


async def change_head(
    records: HistoryRecords,
    change: HeadChange,
    deadline: float,
    *,
    ttl_ms: int | None = None,
    renews_ttl: bool = False,
) -> None:
    """Write what is proposed, until no other writer comes between.

    If a response is lost, the change is proposed again. Raises OutcomeUnknownError only if it can't
    be found out what was written; ConflictError if other writers won until the deadline.
    ``ttl_ms`` is for a new record, or for any with ``renews_ttl``.
    """
    update = RecordUpdate(records.handle, records.address, deadline)
    try:
        await _Attempts(records, change, update, deadline).run(ttl_ms, renews_ttl=renews_ttl)
        return
    except FibonacciError as error:
        if not change.unproven or isinstance(error, OutcomeUnknownError):
            raise
    finally:
        update.release()
    raise change.unproven[-1].error


class _Attempts:
    """The attempts to make one change."""

    def __init__(
        self, records: HistoryRecords, change: HeadChange, update: RecordUpdate, deadline: float
    ) -> None:
        self._records = records
        self._change = change
        self._update = update
        self._deadline = deadline
        self._failed = 0
        self._refused: list[bytes | None] = []
        """The record that was found last time, if its pages did not fit it; it may be absent."""

    async def run(self, ttl_ms: int | None, *, renews_ttl: bool) -> None:
        """Make the change. Raises what ``change_head`` raises."""
        while True:
            found = await self._update.read()
            try:
                head = await self._propose(found)
            except HeadChanged as changed:
                await self._check_changed(changed, found)
                continue
            if head is None:
                return
            data = self._records.serialize_head(head)
            try:
                is_written = await self._update.try_commit(
                    found, data, ttl_ms, renews_ttl=renews_ttl
                )
            except OutcomeUnknownError as error:
                if not self._change.is_partial:
                    self._change.unproven.append(Attempt(found, head, error))
                await self._pause(lost=self._change.is_partial)
                continue
            if is_written and not self._change.is_partial:
                return

    async def _propose(self, found: bytes | None) -> Head | None:
        head = self._records.parse_head(found)
        if head is not None and self._change.unproven and await self._change.is_made(head):
            return None
        self._forget_disproved(found)
        return await self._change.propose(head, len(found or b""))

    def _forget_disproved(self, found: bytes | None) -> None:
        """Forget attempts that were not written, and never will be.

        The bytes that they expected are gone, and the bytes of a head never come back; what was
        found is no older than what this writer found before. A record that was to be new is
        different: it may be absent again.
        """
        self._change.unproven = [
            attempt
            for attempt in self._change.unproven
            if attempt.expected is None or attempt.expected == found
        ]

    async def _check_changed(self, changed: HeadChanged, found: bytes | None) -> None:
        """Back off before the head is read again. CorruptRecordError if it has not changed at all.

        Reads are linearizable: a head that was read twice is no older than its pages.
        """
        if isinstance(changed, PageMissing):
            await self._records.raise_if_lost(changed, self._deadline)
        elif found in self._refused:
            raise self._records.corrupt_error("its head is older than its pages") from None
        self._refused = [found]
        await self._pause()

    async def _pause(self, *, lost: bool = False) -> None:
        """Back off. At the deadline: ConflictError, or another one if a response was lost."""
        self._failed += 1
        records = self._records
        await records.back_off(self._failed, records.address, self._deadline, is_lost=lost)
