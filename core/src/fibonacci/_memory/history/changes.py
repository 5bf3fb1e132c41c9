"""Changes of a head by compare-and-set, of which it is known in the end whether they were made."""

from abc import ABC, abstractmethod

from fibonacci._memory.cas import RecordUpdate
from fibonacci._memory.history.layout import Head
from fibonacci._memory.history.records import HeadChanged, HistoryRecords, PageMissing
from fibonacci.errors import FibonacciError, OutcomeUnknownError


class HeadChange(ABC):
    """One change of a head; it may be proposed several times."""

    def __init__(self) -> None:
        self.unproven: list[Head] = []
        """Proposals whose response was lost: they may have been written, or may yet be."""

    @abstractmethod
    async def propose(self, found: bytes | None) -> Head | None:
        """Return the new head for the record that was found; None to leave it as it is.

        Raises HeadChanged or PageMissing to be asked again with what is there then.
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

    If a response is lost, the change is proposed again, and has to recognize what it wrote itself.
    Raises OutcomeUnknownError only if that can't be found out; ConflictError if other writers won
    until the deadline. ``ttl_ms`` is for a new record, or for any with ``renews_ttl``.
    """
    unknown: OutcomeUnknownError | None = None
    unknown_found: bytes | None = None
    update = RecordUpdate(records.handle, records.address, deadline)
    try:
        stale: list[bytes | None] = []
        while True:
            found = await update.read()
            try:
                head = await change.propose(found)
            except HeadChanged as changed:
                await _check_changed(records, changed, found, stale, deadline)
                continue
            if head is None:
                return
            if found != unknown_found:  # nobody will find the bytes that were expected again
                unknown = None
            data = records.serialize_head(head)
            try:
                if await update.try_commit(found, data, ttl_ms, renews_ttl=renews_ttl):
                    return
            except OutcomeUnknownError as error:
                unknown, unknown_found = error, found
                change.unproven.append(head)
    except FibonacciError:
        if unknown is None:
            raise
    finally:
        update.release()
    raise unknown


async def _check_changed(
    records: HistoryRecords,
    changed: HeadChanged,
    found: bytes | None,
    stale: list[bytes | None],
    deadline: float,
) -> None:
    """Back off before the head is read again. CorruptRecordError if it has not changed at all."""
    if isinstance(changed, PageMissing):
        await records.raise_if_lost(changed, deadline)
    elif found in stale[-1:]:
        raise records.corrupt_error("its head is older than its pages") from None
    stale.append(found)
    await records.store.pause(len(stale), records.address, deadline=deadline)
