"""Changes of a head by compare-and-set, of which it is known in the end whether they were made."""

from collections.abc import Awaitable, Callable

from fibonacci._memory.cas import RecordUpdate
from fibonacci._memory.history.layout import Head
from fibonacci._memory.history.records import HistoryRecords, PageMissing
from fibonacci.errors import BackendUnavailableError, ConflictError, OutcomeUnknownError


class HeadIsStaleError(Exception):
    """The head has changed since it was read."""


Change = Callable[[bytes | None], Awaitable[Head | None]]
"""Gets the bytes of the record, if there is one, and returns the new head, or None to leave it.
Raises HeadIsStaleError or PageMissing to be asked again."""


async def change_head(
    records: HistoryRecords,
    change: Change,
    deadline: float,
    *,
    ttl_ms: int | None,
    renews_ttl: bool = False,
) -> None:
    """Read the head, and write what ``change`` makes of it, until no other writer comes between.

    If a response is lost, ``change`` is asked again, and has to recognize what it wrote itself.
    Raises OutcomeUnknownError only if the head can't be read after that; ConflictError if other
    writers won until the deadline.
    """
    unknown: OutcomeUnknownError | None = None
    update = RecordUpdate(records.handle, records.address, deadline)
    try:
        while True:
            found = await update.read()
            try:
                head = await change(found)
            except HeadIsStaleError:
                continue
            except PageMissing as missing:
                await records.raise_if_lost(missing)
                continue
            if head is None:
                return
            data = records.serialize_head(head)
            try:
                if await update.try_commit(found, data, ttl_ms, renews_ttl=renews_ttl):
                    return
            except OutcomeUnknownError as error:
                unknown = error
    except (BackendUnavailableError, ConflictError):
        if unknown is None:
            raise
    finally:
        update.release()
    raise unknown
