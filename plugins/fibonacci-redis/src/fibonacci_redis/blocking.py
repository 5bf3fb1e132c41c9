"""A server, asked by blocking connections: each caller has one to itself while it asks."""

import os
import select
import socket
import struct
from math import inf
from ssl import SSLWantWriteError
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    IdlePool,
    raise_for_signal,
    share_deadline,
)
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import CONNECTING, EXCHANGING, is_late, lost, out_of_time, unreachable
from fibonacci_redis.link import CHECKED_AFTER, DOUBTED_AFTER, MAX_AGE, RESTED, Link, is_long
from fibonacci_redis.role import TRUSTED_FOR, demoted, greeted, is_replica
from fibonacci_redis.wire import PING, Lost, Request, Unsent

PATIENCE: Final = struct.pack("ll", 0, 4_000)
"""How long the kernel waits in ``recv`` (4 ms) before ``poll`` does, with the time that is left.

A socket with a timeout of Python's own polls before each call, which costs 6 % of a round trip. The
kernel's timeout does not, but starts anew after each signal: a timer that ticks faster than it
would keep a caller for ever. So the kernel's is short, and the long wait is poll's.
"""

MOST_IDLE: Final = 64
"""Connections kept for later; as many as threads ask at once are open meanwhile."""


class Connection:
    """A connection in use by one caller at a time."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.idle_since = monotonic()
        self.rested = 0.0
        """Seconds that it was idle, before its caller took it."""
        self._told_at = self.idle_since if link.tells_role else inf
        """When the server said that it is a primary."""
        self._is_doubted = False
        self._replies = link.replies
        self._socket = link.socket
        self._flags = 0 if link.encrypted else socket.MSG_DONTWAIT
        if not link.encrypted:  # TLS takes the kernel's timeout for no answer, and asks again
            _let_kernel_wait(link.socket)

    def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send a request and return its replies. Raises Unsent or Lost."""
        doubted = self._is_doubted and not request.writes  # it refuses those by itself
        if doubted:
            request = greeted(request)
        first = deadline
        if not request.writes and self.rested > DOUBTED_AFTER and is_long(deadline):
            # It may lead nowhere by now: then there is time to ask again, which harms nothing.
            first = share_deadline(deadline, 2)
        self._send(request.data, deadline)
        try:
            replies = self._replies(request.replies, deadline, first)
        except EXCHANGING as fault:
            raise_for_signal(fault)
            raise Lost from fault
        return self._of_primary(replies) if doubted else replies

    def _of_primary(self, replies: list[Any]) -> list[Any]:
        """Return the replies behind the one that tells the role; a replica's are not read."""
        if is_replica(replies.pop(0)):
            return [demoted() for _ in replies]
        self._is_doubted, self._told_at = False, self.idle_since + self.rested
        return replies

    def _send(self, data: bytes | memoryview, deadline: float) -> None:
        """Send it whole. Unsent is raised only where the system says that it did not take all."""
        while True:
            try:
                sent = self._socket.send(data, self._flags)
            except (BlockingIOError, SSLWantWriteError):
                self.link.wait(select.POLLOUT, deadline)
            except OSError as fault:
                raise_for_signal(fault)
                raise Unsent from fault
            else:
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]
            if monotonic() >= deadline:
                raise Unsent from DeadlineExceeded()

    def is_reusable(self) -> bool:
        """Say whether it is open: a server that went away left an end of file to be read."""
        now = monotonic()
        self.rested = now - self.idle_since
        self._is_doubted = now - self._told_at > TRUSTED_FOR
        return self.rested < RESTED or self.link.is_quiet()

    def close(self) -> None:
        """Close it."""
        self.link.close()


def _let_kernel_wait(connected: socket.socket) -> None:
    """Have ``recv`` wait for PATIENCE, if it is the kernel that waits there.

    A socket of gevent never blocks, and knows no timeout of the kernel's: it is left to ``poll``,
    as one with TLS is.
    """
    connected.setblocking(True)
    if os.get_blocking(connected.fileno()):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)
    else:
        connected.setblocking(False)


class BlockingNode:
    """Connections to one server, the one used last first."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.reached = False
        self._idle: IdlePool[Connection] = IdlePool(max_idle=MOST_IDLE, max_age=MAX_AGE)

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        connection = self._take(deadline, writes=request.writes)
        replies = self._ask(connection, request, deadline)
        self._put_back(connection)
        return replies

    async def session(self, deadline: float) -> "BlockingSession":
        """Return a connection for several requests in a row, of which the first only reads."""
        return BlockingSession(self, self._take(deadline, writes=False))

    def _ask(self, connection: Connection, request: Request, deadline: float) -> list[Any]:
        try:
            return connection.exchange(request, deadline)
        except (Lost, Unsent) as fault:
            connection.close()
            if is_late(fault) and connection.rested > RESTED:
                self._idle.clear_older_than(connection.rested)
            raise lost(fault, str(self.endpoint), request) from fault.__cause__
        except BaseException:  # what is read next could be the reply to this request
            connection.close()
            raise

    def _take(self, deadline: float, *, writes: bool) -> Connection:
        if monotonic() >= deadline:
            raise out_of_time(self.endpoint)
        connection = self._idle.pop()
        if connection is None:
            return self._connect(deadline)
        # Nobody can tell what became of a write that a forgotten connection swallowed.
        checked = writes and connection.rested > CHECKED_AFTER and is_long(deadline)
        if checked and not self._answers(connection, deadline):
            return self._connect(deadline)
        return connection

    def _answers(self, connection: Connection, deadline: float) -> bool:
        rested, connection.rested = connection.rested, 0.0  # it has its half of the time in full
        try:
            self._ask(connection, PING, share_deadline(deadline, 2))
        except BackendUnavailableError:
            self._idle.clear_older_than(rested)
            return False
        return True

    def _connect(self, deadline: float) -> Connection:
        try:
            addresses = self.endpoint.look_up(deadline)
            connection = Connection(Link(self.endpoint, addresses, deadline))
        except CONNECTING as fault:
            raise_for_signal(fault)
            told = unreachable(fault, self.endpoint)
        else:
            self.reached = True
            return connection
        raise told  # not in the block: the driver's own error would be its context

    def _put_back(self, connection: Connection) -> None:
        # A reply too many would be the next caller's.
        if connection.link.has_more():
            connection.close()
        else:
            self._idle.push(connection)

    def forget(self) -> None:
        """Close the connections that nobody uses."""
        self._idle.clear()

    def close(self) -> None:
        """Keep no connection any more."""
        self._idle.close()

    retire = close


class BlockingSession:
    """A connection taken for several requests in a row."""

    def __init__(self, node: BlockingNode, connection: Connection) -> None:
        self._node = node
        self._connection = connection

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        return self._node._ask(self._connection, request, deadline)

    def end(self, *, clean: bool) -> None:
        """Give the connection back; close it, unless it is as it was before."""
        if clean:
            self._node._put_back(self._connection)
        else:
            self._connection.close()
