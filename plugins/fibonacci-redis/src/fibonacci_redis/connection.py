"""One blocking connection: redis-py makes and authenticates it, we send and read on its socket.

redis-py bounds each ``recv``; we bound the whole answer, so a server that sends a byte now and then
does not hold a caller beyond its deadline.
"""

import socket
import struct
from select import POLLIN, POLLOUT, poll
from ssl import SSLSocket, SSLWantReadError, SSLWantWriteError
from time import monotonic
from typing import Any, Final

import redis.connection
from redis.exceptions import ConnectionError as DriverConnectionError

from fibonacci_redis.endpoint import SYNC, Endpoint
from fibonacci_redis.wire import NOTHING, Lost, ReplyError, Unsent, new_reader

PATIENCE: Final = struct.pack("ll", 0, 4_000)
"""How long the kernel waits in ``recv`` (4 ms) before ``poll`` does, with the time that is left.

A socket with a timeout of Python's own polls before each call, which costs 6 % of a round trip. The
kernel's timeout does not, but starts anew after each signal: a timer that ticks faster than it
would keep a caller for ever. So the kernel's is short, and the long wait is poll's.
"""

SIZE: Final = 65_536
"""Bytes asked of ``recv`` at once."""

RESTED: Final = 0.005
"""Seconds of idleness after which a connection is looked at before it is used."""


class ReplyParser(redis.connection.BaseParser):
    """Reads replies until a deadline; redis-py uses it while it makes the connection."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    def on_connect(self, connection: Any) -> None:
        """Take the socket over."""
        # What redis-py's own parsers do: there is no other way to the socket.
        self.socket: socket.socket = connection._sock
        self.socket.setblocking(False)
        self.poller = poll()
        self.poller.register(self.socket, POLLIN)
        reader = new_reader()
        self.feed, self.gets = reader.feed, reader.gets

    def on_disconnect(self) -> None:
        """Nothing to do: redis-py closes the socket."""

    def can_read(self, timeout: float | None) -> bool:
        """Whether something is there to be read; nothing is, between a reply and a request."""
        return False

    def read_response(self, *_: Any, **__: Any) -> Any:
        """Return the next reply, as redis-py expects it while it makes the connection."""
        [reply] = self.replies(1, self.deadline)
        if type(reply) is ReplyError:
            reply = self.parse_error(str(reply))
            if isinstance(reply, DriverConnectionError):
                raise reply
        return reply

    def relax(self) -> None:
        """Wait in the kernel from now on, for a moment; TLS keeps to poll."""
        if not isinstance(self.socket, SSLSocket):
            self.socket.setblocking(True)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)

    def replies(self, count: int, deadline: float) -> list[Any]:
        """Return the next replies; TimeoutError at the deadline, whatever trickles in."""
        found: list[Any] = []
        gets = self.gets
        while True:
            reply = gets()
            if reply is NOTHING:
                self.feed(self._receive(deadline))
                continue
            found.append(reply)
            if len(found) == count:
                return found

    def _receive(self, deadline: float) -> bytes:
        while True:
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            try:
                data = self.socket.recv(SIZE)
            except (BlockingIOError, SSLWantReadError):
                self.wait(POLLIN, deadline)
            except SSLWantWriteError:
                self.wait(POLLOUT, deadline)
            else:
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                return data

    def wait(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready, or the deadline."""
        self.poller.modify(self.socket, event)
        left = deadline - monotonic()
        if left > 0:
            self.poller.poll(left * 1000)
        self.poller.modify(self.socket, POLLIN)


class Connection:
    """A connection in use by one caller at a time."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        """Connect and authenticate until the deadline; redis-py's errors pass through."""
        parser = self._parser = ReplyParser(deadline)
        left = max(0.001, deadline - monotonic())
        self._made = endpoint.choose(SYNC)(
            **endpoint.arguments(),
            parser_class=lambda **_: parser,
            socket_connect_timeout=left,
            socket_timeout=left,
        )
        self._made.connect()
        parser.relax()
        self._socket = parser.socket
        self._replies = parser.replies
        self._flags = 0 if isinstance(parser.socket, SSLSocket) else socket.MSG_DONTWAIT
        self.rested_since = monotonic()

    def exchange(self, data: bytes, count: int, deadline: float) -> list[Any]:
        """Send a request and return its replies. After an exception, close the connection.

        Raises Unsent or Lost.
        """
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
                self._parser.wait(POLLOUT, deadline)
            except SSLWantReadError:
                self._parser.wait(POLLIN, deadline)
            else:
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]
            if monotonic() >= deadline:
                raise TimeoutError

    def is_fresh(self) -> bool:
        """Whether it is fit for use: a server that went away left an end of file to be read."""
        if monotonic() - self.rested_since < RESTED:
            return True
        return not self._parser.poller.poll(0)

    def close(self) -> None:
        """Close the socket."""
        self._made.disconnect()
