"""Changes of one record by compare-and-set; the writers of a process queue for it.

Writers who compare and set against each other, and retry at random moments, lose again and again:
a hundred tasks that incremented one number sent 4,400 requests. In a queue each sends one: a writer
that is done hands its value to the next, which need not read.

The queue is a courtesy, and no lock: only the compare-and-set keeps changes whole. So nothing
depends on it: if the head of a queue stalls, the next writer overtakes it. A queue serves the
threads of a process, or the tasks of an event loop; against all others there is the random backoff.
"""

from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError, ConflictError, StorageError
from fibonacci.plugin._runtime.logs import get_logger
from fibonacci.plugin._runtime.waiters import Waiter
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import ABSENT, KEEP_TTL, Absent, AsyncStore, KeepTTL

STALL_TIMEOUT: Final = 0.25
"""Seconds after which the next writer overtakes the head of a queue. It looks as often, so it may
take twice as long."""

MAX_HANDOFFS: Final = 8
"""Writers in a row that are handed the value of the one before. The next one reads: in that time
another process, which has to read, may win."""


class RecordUpdate:
    """One caller's attempts to change one record, in a queue with the process's other writers."""

    def __init__(self, handle: Any, address: Address, deadline: float) -> None:
        # A StoreHandle or a SyncHandle.
        self._handle = handle
        store = handle.store
        self._store: AsyncStore | None = store
        """For the first read; None once time has passed, in which the memory may be closed."""
        self._queues: WriterQueues | None = store._writer_queues
        self._address = address
        self._deadline = deadline
        self._lost = 0
        self._ticket: Ticket | None = None
        self._written: bytes | None = None
        self._sent_at = 0.0

    async def read(self) -> bytes | None:
        """Return the current bytes, or those that the previous writer handed over.

        Waits in the queue first. Raises ConflictError if the deadline comes before the caller's
        turn, BackendUnavailableError if no writer received a response until then.
        """
        store, self._store = self._store, None
        if self._queues is not None:
            if self._ticket is None or self._ticket.queue is None:  # none yet, or overtaken
                self._ticket = self._queues.create_ticket(self._address, self._deadline)
                if await self._queues.acquire(self._ticket):
                    store = None
            value, self._ticket.handed_over = self._ticket.handed_over, None
            if value is not None:
                return value
        if store is None:
            store = self._handle.store
        found: bytes | None = await store.read(self._address, deadline=self._deadline)
        return found

    async def try_commit(
        self, found: bytes | None, data: bytes, ttl_ms: int | None, *, renews_ttl: bool = False
    ) -> bool:
        """Write if the record still holds ``found``; otherwise back off and return False.

        A new record gets the ttl, an existing one keeps its expiry, unless ``renews_ttl``. Raises
        ConflictError at the deadline.
        """
        expected: bytes | Absent = ABSENT if found is None else found
        expiry: int | KeepTTL | None = ttl_ms if found is None or renews_ttl else KEEP_TTL
        store = self._handle.store  # looked up again: the memory may have been closed meanwhile
        self._written, sent_at = None, monotonic()
        won: bool = await store.compare_and_set(
            self._address, expected, data, expiry, deadline=self._deadline
        )
        if self._ticket is not None and self._ticket.queue is not None:
            self._ticket.queue.responses += 1
        if won:
            self._written, self._sent_at = data, sent_at
            return True
        self._lost += 1
        await store.pause(self._lost, self._address, deadline=self._deadline)
        return False

    def release(self) -> None:
        """Leave the queue, and let the next writer start."""
        if self._queues is not None and self._ticket is not None:
            self._queues.release(self._ticket, self._written, self._sent_at)


class Ticket:
    """One writer in a queue."""

    waiter: Waiter
    """Set if the writer has to wait."""

    def __init__(self, address: Address, deadline: float, caller: Hashable) -> None:
        self.address = address
        self.deadline = deadline
        self.caller = caller
        self.enqueued_at = monotonic()
        self.queue: RecordQueue | None = None
        """None before the writer enters, after it leaves, and once it was overtaken."""
        self.is_head = False
        self.handed_over: bytes | None = None
        """What the previous writer wrote; None if the record has to be read."""


class RecordQueue:
    """The writers of one record."""

    def __init__(self, head: Ticket) -> None:
        self.head = head
        self.waiting: deque[Ticket] = deque()
        self.callers = {head.caller}
        """Those of the head and of the waiting tickets."""
        self.head_since = monotonic()
        self.handoffs = 0
        """How many writers in a row were handed a value."""
        self.responses = 0
        """How many attempts have received a response from the store."""

    def advance(self, written: bytes | None = None, sent_at: float = 0.0) -> None:
        """Make the next writer the head, and hand it the value that was written.

        Writers that enqueued after the value was sent are not handed it: another process may have
        replaced it before they were called, and they would fail at a value that was gone. A signal
        handler may raise at any step here: then the next writer finds out by itself, a little
        later.
        """
        head = self.waiting[0]
        self.callers.discard(self.head.caller)
        self.head, self.head_since = head, monotonic()
        if written is None or head.enqueued_at >= sent_at or self.handoffs == MAX_HANDOFFS:
            self.handoffs = 0
        else:
            self.handoffs += 1
            head.handed_over = written
        head.is_head = True
        self.waiting.popleft()
        head.waiter.wake()


class WriterQueues:
    """The queues of one store: one for each record that is being changed."""

    def __init__(self, waiter_type: type[Waiter]) -> None:
        self._waiter_type: Final = waiter_type
        self._queues: dict[Address, RecordQueue] = {}
        self._lock = RLock()
        self._inside: set[Hashable] = set()
        """The callers that take the lock, have it, or give it back."""

    def create_ticket(self, address: Address, deadline: float) -> Ticket:
        """Return a ticket for the caller, in no queue yet."""
        return Ticket(address, deadline, self._waiter_type.caller())

    async def acquire(self, ticket: Ticket) -> bool:
        """Wait in the record's queue until the ticket is at its head; return whether it waited.

        A caller that is in the queue already does not wait for itself: the function passed to
        ``update`` may change the record, and so may a signal handler, even one that interrupts
        this method. Raises ConflictError or BackendUnavailableError at the deadline.
        """
        if ticket.caller in self._inside:
            return False
        try:
            self._inside.add(ticket.caller)
            with self._lock:
                queue = self._queues.get(ticket.address)
                if queue is None:
                    ticket.queue = self._queues[ticket.address] = RecordQueue(ticket)
                    return False
                if ticket.caller in queue.callers:
                    return False
                ticket.waiter = self._waiter_type()
                queue.callers.add(ticket.caller)
                queue.waiting.append(ticket)
                ticket.queue = queue
        finally:
            self._inside.discard(ticket.caller)
        await self._wait(ticket, queue)
        return True

    async def _wait(self, ticket: Ticket, queue: RecordQueue) -> None:
        responses, now = queue.responses, monotonic()
        timeout = min(STALL_TIMEOUT, (ticket.deadline - now) / 4)  # leaves time for an attempt
        while not (ticket.is_head or self._overtake_if_stalled(ticket, queue, timeout)):
            left = ticket.deadline - monotonic()
            if left <= 0:
                raise _timeout_error(ticket.address, others_won=queue.responses > responses)
            await ticket.waiter.wait(monotonic() + min(left, timeout))

    def _overtake_if_stalled(self, ticket: Ticket, queue: RecordQueue, timeout: float) -> bool:
        """Overtake the head if it has been there for too long; return whether the ticket may go."""
        try:
            self._inside.add(ticket.caller)
            with self._lock:
                is_next = bool(queue.waiting) and queue.waiting[0] is ticket
                if not is_next or monotonic() < queue.head_since + timeout:
                    return ticket.is_head
                head_since = queue.head_since
                queue.head.queue = None
                queue.advance()
        finally:
            self._inside.discard(ticket.caller)
        _log_overtaken(ticket.address, monotonic() - head_since)  # no lock is held
        return True

    def release(self, ticket: Ticket, written: bytes | None, sent_at: float) -> None:
        """Leave the queue; hand the next writer the value that was written, and sent at that time.

        Does nothing with a ticket that is in no queue.
        """
        queue, ticket.queue = ticket.queue, None
        if queue is None:
            return
        try:
            self._inside.add(ticket.caller)
            with self._lock:
                if queue.head is not ticket:
                    queue.callers.discard(ticket.caller)
                    with suppress(ValueError):
                        queue.waiting.remove(ticket)
                    return
                # The head is still among the waiting if an exception interrupted `advance`.
                if queue.waiting and queue.waiting[0] is ticket:
                    queue.waiting.popleft()
                if queue.waiting:
                    queue.advance(written, sent_at)
                elif self._queues.get(ticket.address) is queue:  # not in a child forked meanwhile
                    del self._queues[ticket.address]
        finally:
            self._inside.discard(ticket.caller)

    def reset_after_fork(self) -> None:
        """Empty all queues, in a forked child: the other writers stay in the parent."""
        self._queues, self._lock, self._inside = {}, RLock(), set()


def _log_overtaken(address: Address, seconds: float) -> None:
    get_logger("memory").debug(
        "a writer of a record in %s scope was overtaken after %.2f s at the head of its queue",
        address.space.scope,
        seconds,
    )


def _timeout_error(address: Address, *, others_won: bool) -> StorageError:
    if others_won:
        return ConflictError(
            f"gave up on {address}: concurrent updates kept winning until the deadline. Raise the "
            f"timeout, or let fewer writers share one record"
        )
    return BackendUnavailableError(
        f"gave up on {address}: earlier updates queued in this process received no response until "
        f"the deadline"
    )
