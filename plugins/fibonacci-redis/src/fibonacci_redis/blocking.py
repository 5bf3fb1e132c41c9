"""A server, asked by blocking connections: each caller has one to itself while it asks."""

import socket
import struct
from select import POLLOUT
from ssl import SSLWantWriteError
from time import monotonic
from typing import Any, Final

from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import lost, out_of_time, unreachable
from fibonacci_redis.link import Link
from fibonacci_redis.wire import Lost, Request, Unsent

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
        self._replies = link.replies
        self._socket = link.socket
        self._flags = 0 if link.encrypted else socket.MSG_DONTWAIT
        if not link.encrypted:  # TLS takes the kernel's timeout for no answer, and asks again
            link.socket.setblocking(True)
            link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)

    def exchange(self, data: bytes, count: int, deadline: float) -> list[Any]:
        """Send a request and return its replies. Raises Unsent or Lost."""
        try:
            self._send(data, deadline)
        except Exception as fault:
            raise Unsent from fault
        try:
            return self._replies(count, deadline)
        except Exception as fault:
            raise Lost from fault

    def _send(self, data: bytes | memoryview, deadline: float) -> None:
        while True:
            try:
                sent = self._socket.send(data, self._flags)
            except (BlockingIOError, SSLWantWriteError):
                self.link.wait(POLLOUT, deadline)
            else:
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]
            if monotonic() >= deadline:
                raise TimeoutError


class BlockingNode:
    """Connections to one server, the one used last first."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # list.pop and list.append are atomic: threads need no lock, a signal handler neither.
        self._idle: list[Connection] = []
        self._most_idle = MOST_IDLE

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        connection = self._take(deadline)
        replies = self._ask(connection, request, deadline)
        self._put_back(connection)
        return replies

    async def session(self, deadline: float) -> "BlockingSession":
        """Return a connection for several requests in a row."""
        return BlockingSession(self, self._take(deadline))

    def _ask(self, connection: Connection, request: Request, deadline: float) -> list[Any]:
        try:
            return connection.exchange(request.data, request.replies, deadline)
        except (Lost, Unsent) as fault:
            connection.link.close()
            raise lost(fault, str(self.endpoint), request) from fault.__cause__
        except BaseException:  # what is read next could be the reply to this request
            connection.link.close()
            raise

    def _take(self, deadline: float) -> Connection:
        if monotonic() >= deadline:
            raise out_of_time(self.endpoint)
        while (connection := self._pop()) is not None:
            if connection.link.is_fresh():
                return connection
            connection.link.close()
        try:
            addresses = self.endpoint.look_up(deadline)
            return Connection(Link(self.endpoint, addresses, deadline))
        except Exception as fault:  # noqa: BLE001 - whatever redis-py raises
            told = unreachable(fault, self.endpoint)
        raise told  # not in the block: the driver's own error would be its context

    def _pop(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _put_back(self, connection: Connection) -> None:
        connection.link.rested_since = monotonic()
        # A reply too many would be the next caller's.
        if len(self._idle) < self._most_idle and not connection.link.has_more():
            self._idle.append(connection)
        else:
            connection.link.close()

    def forget(self) -> None:
        """Close the connections that nobody uses."""
        while (connection := self._pop()) is not None:
            connection.link.close()

    def close(self) -> None:
        """Keep no connection any more."""
        self._most_idle = 0
        self.forget()


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
            self._connection.link.close()
