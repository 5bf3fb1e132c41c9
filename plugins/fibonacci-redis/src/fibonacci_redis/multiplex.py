"""One connection that many callers share in an event loop: requests go out, replies come in order.

A caller that was cancelled leaves its place in the line, and its reply is dropped when it comes.
Only a fault of the connection, or a first in the line that waits beyond its deadline, closes it:
what comes after that could belong to anybody.
"""

import asyncio
from collections import deque
from contextlib import suppress
from math import inf
from ssl import SSLWantReadError, SSLWantWriteError
from time import monotonic
from typing import Any, Final

from fibonacci_redis.link import SIZE, Link
from fibonacci_redis.wire import NOTHING, Lost, Unsent

NOT_YET: Final = (BlockingIOError, SSLWantReadError, SSLWantWriteError)


class Caller:
    """A place in the line."""

    __slots__ = ("count", "deadline", "end", "future", "replies")

    def __init__(
        self, future: "asyncio.Future[list[Any]]", count: int, deadline: float, end: int
    ) -> None:
        self.future = future
        self.count = count
        self.deadline = deadline
        self.end = end
        """Where its request ends, in bytes since the connection was made."""
        self.replies: list[Any] = []

    def fail(self, kind: type[Lost | Unsent], fault: Exception) -> None:
        if not self.future.done():
            told = kind()
            told.__cause__ = fault
            self.future.set_exception(told)


class Multiplex:
    """A connection in the running event loop."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._socket = link.socket
        self._line: deque[Caller] = deque()
        self._outgoing: list[bytes | memoryview] = []
        self._flushing = False
        self._asked = 0
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = inf
        self._closed = False
        self._retired = False
        self._loop.add_reader(self._socket, self._receive)

    @property
    def is_fresh(self) -> bool:
        """Whether it is fit for use."""
        return not self._closed and (bool(self._line) or self._link.is_fresh())

    def exchange(self, data: bytes, count: int, deadline: float) -> "asyncio.Future[list[Any]]":
        """Send a request, and return what its replies will be. Raises Unsent or Lost."""
        if self._closed:  # while its caller waited for it
            raise Unsent from ConnectionResetError("the server closed the connection")
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._asked += len(data)
        self._line.append(Caller(future, count, deadline, self._asked))
        self._outgoing.append(data)
        if len(self._line) == 1:
            self._flush()  # nobody else waits: no turn of the loop is lost
        elif not self._flushing:
            # What others ask in the same turn of the loop goes out with it, in one call.
            self._flushing = True
            self._loop.call_soon(self._flush)
        if deadline < self._due and not self._closed:
            self._wake_at(deadline)
        return future

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
        outgoing = self._outgoing
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        sent = 0
        try:
            with suppress(*NOT_YET):  # the kernel takes nothing at the moment
                sent = self._socket.send(data)
        except OSError as fault:
            self._fail(fault)
            return
        self._sent += sent
        self._outgoing = [] if sent == len(data) else [memoryview(data)[sent:]]
        if self._outgoing and not self._flushing:
            self._flushing = True
            self._loop.add_writer(self._socket, self._flush_more)

    def _flush_more(self) -> None:
        self._loop.remove_writer(self._socket)
        self._flush()

    def _receive(self) -> None:
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
        except Exception as fault:  # noqa: BLE001 - or no RESP, or a reply that nobody asked for
            self._fail(fault)
        self._link.rested_since = monotonic()

    def _hand_out(self) -> None:
        """Give the replies out, in the order of the requests."""
        line, gets = self._line, self._link.gets
        while (reply := gets()) is not NOTHING:
            caller = line[0]
            caller.replies.append(reply)
            if len(caller.replies) == caller.count:
                line.popleft()
                if not caller.future.done():
                    caller.future.set_result(caller.replies)
        if self._retired and not line:
            self.close()

    def _look(self) -> None:
        """Tell overdue callers; one that is first in the line ends the connection."""
        self._timer, self._due = None, inf
        now = monotonic()
        if self._line and self._line[0].deadline <= now:
            self._fail(TimeoutError())
        for caller in self._line:
            if caller.deadline <= now:
                caller.fail(Lost, TimeoutError())
        if self._line:
            waiting = [caller.deadline for caller in self._line if not caller.future.done()]
            self._wake_at(min(waiting, default=self._line[0].deadline))

    def _fail(self, fault: Exception) -> None:
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
        """Close the connection as soon as nobody waits on it."""
        self._retired = True
        if not self._line:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._fail(ConnectionAbortedError("the connection was closed"))
