"""One connection that many callers of an event loop share: replies arrive in request order.

If a caller is cancelled or timed out, its request stays pending, and its reply is dropped when it
arrives: one caller's short deadline does not affect the others. If there was no reply at all since
a caller that timed out sent its request, nor for half a second, the connection may be dead: it
serves the pending requests, each until its own deadline, and gets no new ones. An error of the
connection closes it, and so does any exception during an exchange: the next reply could belong to
another request.
"""

import asyncio
from collections import deque
from contextlib import suppress
from math import inf
from ssl import SSLWantReadError, SSLWantWriteError
from time import monotonic
from typing import Any, Final

from fibonacci.plugin.runtime import DeadlineExceeded, raise_for_signal, share_deadline
from fibonacci_redis.connection import (
    DOUBT_AFTER,
    HELLO,
    IDLE_CHECK_AFTER,
    MAX_IDLE_TIME,
    PING_AFTER,
    RECV_SIZE,
    ROLE_TTL,
    Connection,
    can_afford_check,
    is_replica,
    replica_error,
)
from fibonacci_redis.faults import EXCHANGE_ERRORS
from fibonacci_redis.protocol import INCOMPLETE, PING, NotSentError, ReplyLostError, Request

SILENCE_TIMEOUT: Final = 0.5
"""Seconds without a reply to pending requests after which a connection may be dead."""

WOULD_BLOCK: Final = (BlockingIOError, SSLWantReadError, SSLWantWriteError)


class PendingRequest:
    """A request whose replies have not all arrived."""

    __slots__ = (
        "check_at",
        "checks_role",
        "completed_before",
        "deadline",
        "end",
        "future",
        "reads",
        "recv_count_before",
        "replies",
        "reply_count",
    )

    def __init__(
        self,
        future: "asyncio.Future[list[Any]]",
        request: Request,
        deadline: float,
        check_at: float,
    ) -> None:
        self.future = future
        self.reply_count = request.reply_count
        self.reads = not request.writes
        self.checks_role = False
        """Whether its first reply is the server's role, which the caller does not get."""
        self.deadline = deadline
        self.check_at = check_at
        """When to check whether it is still pending: at the deadline, or earlier."""
        self.end = 0
        """The position of its end, in bytes since the connection was established."""
        self.completed_before = 0
        """How many requests were completed before it was sent …"""
        self.recv_count_before = 0
        """… and how often bytes had arrived."""
        self.replies: list[Any] = []

    def reject_read(self) -> None:
        """Give a read the error that the server is a replica; a replica refuses writes itself."""
        if self.reads and not self.future.done():
            count = self.reply_count - self.checks_role
            self.future.set_result([replica_error() for _ in range(count)])

    def fail(self, kind: type[ReplyLostError | NotSentError], cause: BaseException) -> None:
        if not self.future.done():
            error = kind()
            error.__cause__ = cause
            self.future.set_exception(error)


class MultiplexedConnection:
    """A connection in the running event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._socket = connection.socket
        self._pending: deque[PendingRequest] = deque()
        self._outgoing: list[bytes | memoryview] = []
        self._is_flush_scheduled = False
        self._bytes_queued = self._bytes_sent = 0
        self._completed_count = self._recv_count = 0
        self.idle_since = monotonic()
        self._silent_since = self.idle_since
        """About when the last reply was complete, or the first pending request was sent."""
        self._idle_time = 0.0
        """Seconds that it was idle, until bytes arrive again."""
        self._role_checked_at = self.idle_since if connection.reports_role else inf
        """When the server last reported that it is a primary."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._has_timed_out = False
        """Whether a caller timed out, and no request was completed since."""
        self._is_closed = False
        self._is_retired = False
        self._loop.add_reader(self._socket, self._on_readable)

    def is_open(self) -> bool:
        """Return whether it takes requests, as far as this side can tell."""
        if self._is_closed or self._is_retired:
            return False
        if self._pending:
            return not self._has_timed_out or monotonic() - self._silent_since < SILENCE_TIMEOUT
        self._idle_time = monotonic() - self.idle_since
        return self._idle_time < IDLE_CHECK_AFTER or (
            self._idle_time < MAX_IDLE_TIME and not self._connection.is_readable()
        )

    is_reusable = is_open

    def is_ready(self, *, writes: bool, deadline: float) -> bool:
        """Return whether a request may be sent: a write after an idle time needs a PING first.

        Nobody can tell whether a write on a dead connection was applied.
        """
        if not self.is_open():
            return False
        return not (writes and self._idle_time > PING_AFTER and can_afford_check(deadline))

    def execute(self, request: Request, deadline: float, now: float) -> "asyncio.Future[list[Any]]":
        """Send a request, and return a future of its replies.

        Raises NotSentError or ReplyLostError, here or in the future. ``now`` is a value of
        ``time.monotonic()``, which all callers have already.
        """
        if self._is_closed:  # while its caller waited for it
            raise NotSentError from ConnectionResetError("the server closed the connection")
        check_at = deadline
        may_be_dead = self._idle_time > DOUBT_AFTER and not request.writes and request is not PING
        if may_be_dead and can_afford_check(deadline):
            # Leave time to retry on another one, which is safe for a read.
            check_at = share_deadline(deadline, 2)
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        try:
            pending, data = PendingRequest(future, request, deadline, check_at), request.data
            if now - self._role_checked_at > ROLE_TTL and pending.reads:
                self._role_checked_at, pending.checks_role = now, True
                pending.reply_count += 1
                data = HELLO + data
            self._enqueue(data, pending)
        except BaseException as error:  # a signal handler's
            future.cancel()
            self._fail(error)
            raise
        return future

    def _enqueue(self, data: bytes, pending: PendingRequest) -> None:
        self._bytes_queued += len(data)
        pending.end = self._bytes_queued
        pending.completed_before = self._completed_count
        pending.recv_count_before = self._recv_count
        if not self._pending:
            self._silent_since = monotonic()
        self._pending.append(pending)
        self._outgoing.append(data)
        if len(self._pending) == 1:
            self._flush()  # no other request is pending: do not wait for the next loop iteration
        elif not self._is_flush_scheduled:
            # All requests of one loop iteration are sent together, in one call.
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)
        if pending.check_at < self._timer_at and not self._is_closed:
            self._set_timer(pending.check_at)

    def _set_timer(self, at: float) -> None:
        """Set the one timer for all requests; it is reset when it fires, or for an earlier one."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(at - monotonic(), self._on_timer)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        if not self._outgoing or self._is_closed:
            return
        try:
            self._send()
        except BaseException as error:
            self._fail(error)
            raise_for_signal(error)
            if not isinstance(error, OSError):
                raise

    def _send(self) -> None:
        """Send as much as the kernel accepts."""
        outgoing = self._outgoing
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        # Count it as sent before: a signal handler may raise after all of it was sent.
        before, self._bytes_sent, sent = self._bytes_sent, self._bytes_queued, 0
        try:
            with suppress(*WOULD_BLOCK):
                sent = self._socket.send(data)
        except OSError as error:
            raise_for_signal(error)
            self._bytes_sent = before
            raise
        self._bytes_sent = before + sent
        self._outgoing = [] if sent == len(data) else [memoryview(data)[sent:]]
        if self._outgoing and not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._loop.add_writer(self._socket, self._on_writable)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._socket)
        self._flush()

    def _on_readable(self) -> None:
        self.idle_since = monotonic()
        try:
            while not self._is_closed:
                data = self._socket.recv(RECV_SIZE)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                self._connection.feed(data)
                self._dispatch_replies()
                if not self._connection.is_encrypted:
                    break  # TLS may have buffered more, which the loop does not see
        except WOULD_BLOCK:
            pass
        except EXCHANGE_ERRORS as error:
            self._fail(error)
            raise_for_signal(error)
        except BaseException as error:  # a signal handler's
            self._fail(error)
            raise
        self._idle_time = 0.0
        self._recv_count += 1

    def _dispatch_replies(self) -> None:
        """Hand the replies to the pending requests, in their order."""
        queue, gets = self._pending, self._connection.gets
        while (reply := gets()) is not INCOMPLETE:
            if not queue:
                raise ConnectionAbortedError("the server sent a reply without a request")
            pending = queue[0]
            pending.replies.append(reply)
            if len(pending.replies) == pending.reply_count:
                queue.popleft()
                self._completed_count += 1
                self._has_timed_out = False
                self._silent_since = self.idle_since
                if pending.checks_role and is_replica(pending.replies.pop(0)):
                    self._reject_reads(pending)
                if not pending.future.done():
                    pending.future.set_result(pending.replies)
        if self._is_retired:
            self.retire()

    def _reject_reads(self, first: PendingRequest) -> None:
        """Reject the reads from this one on, and take no new requests."""
        self._is_retired = True
        for pending in (first, *self._pending):
            pending.reject_read()

    def _on_timer(self) -> None:
        """Fail the requests whose time is up."""
        self._timer, self._timer_at = None, inf
        now = monotonic()
        is_silent = False
        for pending in self._pending:
            if pending.check_at > now:
                continue
            if pending.check_at < pending.deadline and self._recv_count > pending.recv_count_before:
                pending.check_at = pending.deadline  # bytes arrived: the connection is not dead
                continue
            # Not at once: otherwise callers with short deadlines would open a connection each
            # while a server stalls.
            was_long = (
                pending.check_at < pending.deadline or now - self._silent_since >= SILENCE_TIMEOUT
            )
            is_silent = is_silent or (
                was_long and self._completed_count == pending.completed_before
            )
            pending.check_at, self._has_timed_out = inf, True
            pending.fail(ReplyLostError, DeadlineExceeded())
        if is_silent:
            self.retire()
        next_at = min((pending.check_at for pending in self._pending), default=inf)
        if next_at < inf:
            self._set_timer(next_at)

    def _fail(self, error: BaseException) -> None:
        """Close the connection, and fail all pending requests."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._connection.close()
        if self._timer is not None:
            self._timer.cancel()
        queue, self._pending = self._pending, deque()
        for pending in queue:
            kind = NotSentError if pending.end > self._bytes_sent else ReplyLostError
            pending.fail(kind, error)

    def retire(self) -> None:
        """Take no new requests, and close the connection when no caller waits for a reply."""
        self._is_retired = True
        if all(pending.future.done() for pending in self._pending):
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._fail(ConnectionAbortedError("the connection was closed"))
