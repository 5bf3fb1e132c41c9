"""One connection: redis-py makes, encrypts and authenticates it; we send and read on its socket.

redis-py bounds each ``recv``; we bound the whole answer, so a server that sends a byte now and then
does not hold a caller beyond its deadline, not even while the connection is made.
"""

import socket
import weakref
from collections.abc import Sequence
from select import POLLIN, poll
from ssl import SSLSocket, SSLWantReadError
from time import monotonic
from typing import Any, Final

from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.wire import NOTHING, ReplyError, new_reader

SIZE: Final = 65_536
"""Bytes asked of ``recv`` at once."""

RESTED: Final = 0.001
"""Seconds of idleness after which a connection is looked at before it is used."""


class Link:
    """A socket, and the replies that come from it; to redis-py it is the connection's parser.

    After an exception, or when a caller was interrupted, close it: what comes next could belong to
    anybody.
    """

    def __init__(self, endpoint: Endpoint, addresses: Sequence[str], deadline: float) -> None:
        """Connect to one of the addresses and authenticate.

        Raises ReplyError, and what redis-py raises.
        """
        self._deadline = deadline
        left = max(0.001, deadline - monotonic())
        self._made = endpoint.driver(
            **endpoint.arguments(),
            parser_class=lambda **_: self,
            socket_connect_timeout=left,
            socket_timeout=left,
        )
        if endpoint.path is None:
            self._made.try_each(addresses, deadline)
        try:
            self._made.connect()
        except BaseException:
            self.close()
            raise
        self.rested_since = monotonic()

    def on_connect(self, connection: Any) -> None:
        """Take the socket over: redis-py has opened it, and goes on to authenticate."""
        # As redis-py's own parsers do; there is no other way to the socket.
        self.socket: socket.socket = connection._sock
        # A store whose event loop has ended, or that nobody closed, goes without a ResourceWarning.
        weakref.finalize(self, self.socket.close).atexit = False
        self.socket.setblocking(False)
        self.encrypted = isinstance(self.socket, SSLSocket)
        self._poller = poll()
        self._poller.register(self.socket, POLLIN)
        reader = new_reader()
        self.feed, self.gets, self.has_more = reader.feed, reader.gets, reader.has_data

    def on_disconnect(self) -> None:
        """Nothing to do: redis-py closes the socket."""

    def read_response(self, *_: Any, **__: Any) -> Any:
        """Return the next reply, while redis-py makes the connection."""
        [reply] = self.replies(1, self._deadline)
        if type(reply) is ReplyError:
            raise reply
        return reply

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
        while monotonic() < deadline:
            try:
                data = self.socket.recv(SIZE)
            except (BlockingIOError, SSLWantReadError):
                self.wait(POLLIN, deadline)
            else:
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                return data
        raise TimeoutError

    def wait(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready, or the deadline."""
        self._poller.modify(self.socket, event)
        self._poller.poll(max(0.0, deadline - monotonic()) * 1000)
        self._poller.modify(self.socket, POLLIN)

    def is_fresh(self) -> bool:
        """Whether it is fit for use: a server that went away left an end of file to be read."""
        return monotonic() - self.rested_since < RESTED or not self._poller.poll(0)

    def close(self) -> None:
        """Close the socket."""
        self._made.disconnect()
