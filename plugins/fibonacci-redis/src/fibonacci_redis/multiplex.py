"""One connection that many callers share in an event loop: requests go out, replies come in order.

A caller that was cancelled, or is overdue, leaves its place in the line, and its reply is dropped
when it comes: nobody's short deadline is another one's fault. Where no answer came at all since an
overdue caller asked, nor for half a second, the connection may be dead: it serves those
who wait, by their own deadlines, and gets no new ones. A fault of the connection closes it, and so
does anything that is raised amid an exchange: what comes after that could belong to anybody.
"""

import asyncio
from collections import deque
from contextlib import suppress
from math import inf
from ssl import SSLWantReadError, SSLWantWriteError
from time import monotonic
from typing import Any, Final

from fibonacci.plugin.runtime import DeadlineExceeded, raise_for_signal, share_deadline
from fibonacci_redis.caller import Caller
from fibonacci_redis.faults import EXCHANGING
from fibonacci_redis.link import CHECKED_AFTER, DOUBTED_AFTER, MAX_AGE, RESTED, SIZE, Link, is_long
from fibonacci_redis.role import HELLO, TRUSTED_FOR, is_replica
from fibonacci_redis.wire import NOTHING, PING, Lost, Request, Unsent

SILENT_FOR: Final = 0.5
"""Seconds without an answer, for those who wait, after which a connection may be dead."""

NOT_YET: Final = (BlockingIOError, SSLWantReadError, SSLWantWriteError)


class Multiplex:
    """A connection in the running event loop."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._socket = link.socket
        self._line: deque[Caller] = deque()
        self._outgoing: list[bytes | memoryview] = []
        self._flushing = False
        self._asked = self._sent = 0
        """Bytes."""
        self._answered = self._heard = 0
        self.idle_since = monotonic()
        self._silent_since = self.idle_since
        """About when an answer was complete last, or the first of those who wait asked."""
        self._rested = 0.0
        """Seconds that it was idle, until something was heard again."""
        self._told_at = self.idle_since if link.tells_role else inf
        """When the server was asked last whether it is a primary."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = inf
        self._doubted = False
        """Whether a caller's time was up, and nothing was answered since."""
        self._closed = False
        self._retired = False
        self._loop.add_reader(self._socket, self._receive)

    def is_open(self) -> bool:
        """Say whether requests may go out on it, as far as can be seen from here."""
        if self._closed or self._retired:
            return False
        if self._line:
            return not self._doubted or monotonic() - self._silent_since < SILENT_FOR
        self._rested = monotonic() - self.idle_since
        return self._rested < RESTED or (self._rested < MAX_AGE and self._link.is_quiet())

    is_reusable = is_open

    def is_ready(self, *, writes: bool, deadline: float) -> bool:
        """Say whether a request may go out: a write after a rest needs a sign of life first.

        Nobody can tell what became of a write that a forgotten connection swallowed.
        """
        if not self.is_open():
            return False
        return not (writes and self._rested > CHECKED_AFTER and is_long(deadline))

    def exchange(
        self, request: Request, deadline: float, now: float
    ) -> "asyncio.Future[list[Any]]":
        """Send a request, and return what its replies will be. Raises Unsent or Lost.

        ``now`` is a reading of ``time.monotonic()``: its callers have one at hand.
        """
        if self._closed:  # while its caller waited for it
            raise Unsent from ConnectionResetError("the server closed the connection")
        look = deadline
        doubtful = self._rested > DOUBTED_AFTER and not request.writes and request is not PING
        if doubtful and is_long(deadline):
            # It may lead nowhere by now: then there is time to ask again, which harms nothing.
            look = share_deadline(deadline, 2)
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        try:
            caller, data = Caller(future, request, deadline, look), request.data
            if now - self._told_at > TRUSTED_FOR and caller.reads:
                self._told_at, caller.greets = now, True
                caller.count += 1
                data = HELLO + data
            self._enqueue(data, caller)
        except BaseException as fault:  # a signal handler's
            future.cancel()
            self._fail(fault)
            raise
        return future

    def _enqueue(self, data: bytes, caller: Caller) -> None:
        self._asked += len(data)
        caller.end = self._asked
        caller.answered, caller.heard = self._answered, self._heard
        if not self._line:
            self._silent_since = monotonic()
        self._line.append(caller)
        self._outgoing.append(data)
        if len(self._line) == 1:
            self._flush()  # nobody else waits: no turn of the loop is lost
        elif not self._flushing:
            # What others ask in the same turn of the loop goes out with it, in one call.
            self._flushing = True
            self._loop.call_soon(self._flush)
        if caller.look < self._due and not self._closed:
            self._wake_at(caller.look)

    def _wake_at(self, due: float) -> None:
        """One timer for all: it is set anew when it goes off, or where someone has less time."""
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_later(due - monotonic(), self._look)

    def _flush(self) -> None:
        self._flushing = False
        if not self._outgoing or self._closed:
            return
        try:
            self._send()
        except BaseException as fault:
            self._fail(fault)
            raise_for_signal(fault)
            if not isinstance(fault, OSError):
                raise

    def _send(self) -> None:
        """Send what the kernel takes."""
        outgoing = self._outgoing
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        # Noted before: what a signal handler raises may strike when all was sent.
        before, self._sent, sent = self._sent, self._asked, 0
        try:
            with suppress(*NOT_YET):  # the kernel takes nothing at the moment
                sent = self._socket.send(data)
        except OSError as fault:
            raise_for_signal(fault)
            self._sent = before
            raise
        self._sent = before + sent
        self._outgoing = [] if sent == len(data) else [memoryview(data)[sent:]]
        if self._outgoing and not self._flushing:
            self._flushing = True
            self._loop.add_writer(self._socket, self._flush_more)

    def _flush_more(self) -> None:
        self._loop.remove_writer(self._socket)
        self._flush()

    def _receive(self) -> None:
        self.idle_since = monotonic()
        try:
            while not self._closed:
                data = self._socket.recv(SIZE)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                self._link.feed(data)
                self._hand_out()
                if not self._link.encrypted:
                    break  # TLS may have more that the kernel no longer knows of
        except NOT_YET:
            pass
        except EXCHANGING as fault:
            self._fail(fault)
            raise_for_signal(fault)
        except BaseException as fault:  # a signal handler's
            self._fail(fault)
            raise
        self._rested = 0.0
        self._heard += 1

    def _hand_out(self) -> None:
        """Give the replies out, in the order of the requests."""
        line, gets = self._line, self._link.gets
        while (reply := gets()) is not NOTHING:
            if not line:
                raise ConnectionAbortedError("the server sent a reply that nobody asked for")
            caller = line[0]
            caller.replies.append(reply)
            if len(caller.replies) == caller.count:
                line.popleft()
                self._answered += 1
                self._doubted = False
                self._silent_since = self.idle_since
                if caller.greets and is_replica(caller.replies.pop(0)):
                    self._refuse(caller)
                if not caller.future.done():
                    caller.future.set_result(caller.replies)
        if self._retired:
            self.retire()

    def _refuse(self, caller: Caller) -> None:
        """Refuse what is read here, from this caller on, and take no new requests."""
        self._retired = True
        for refused in (caller, *self._line):
            refused.refuse()

    def _look(self) -> None:
        """Tell overdue callers."""
        self._timer, self._due = None, inf
        now = monotonic()
        is_silent = False
        for caller in self._line:
            if caller.look > now:
                continue
            if caller.look < caller.deadline and self._heard > caller.heard:
                caller.look = caller.deadline  # it does not lead nowhere
                continue
            # Not at once: callers with little time would have a new connection each, while a server
            # stands still.
            was_long = caller.look < caller.deadline or now - self._silent_since >= SILENT_FOR
            is_silent = is_silent or (was_long and self._answered == caller.answered)
            caller.look, self._doubted = inf, True
            caller.fail(Lost, DeadlineExceeded())
        if is_silent:
            self.retire()
        due = min((caller.look for caller in self._line), default=inf)
        if due < inf:
            self._wake_at(due)

    def _fail(self, fault: BaseException) -> None:
        """Close the connection, and tell everyone in the line."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._link.close()
        if self._timer is not None:
            self._timer.cancel()
        line, self._line = self._line, deque()
        for caller in line:
            caller.fail(Unsent if caller.end > self._sent else Lost, fault)

    def retire(self) -> None:
        """Take no new requests, and close the connection as soon as nobody waits on it."""
        self._retired = True
        if all(caller.future.done() for caller in self._line):
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._fail(ConnectionAbortedError("the connection was closed"))
