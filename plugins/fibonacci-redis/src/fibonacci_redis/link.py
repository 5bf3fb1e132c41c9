"""One connection: redis-py makes, encrypts and authenticates it; we send and read on its socket.

redis-py bounds each ``recv``; we bound the whole answer, so a server that sends a byte now and then
does not hold a caller beyond its deadline, not even while the connection is made.
"""

import select
import socket
import weakref
from collections.abc import Sequence
from ssl import SSLSocket, SSLWantReadError
from time import monotonic
from typing import Any, Final

from fibonacci.plugin.runtime import DeadlineExceeded, raise_for_signal
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.role import HELLO, demoted, is_replica, refuses_hello, told_role
from fibonacci_redis.wire import NOTHING, ReplyError, new_reader

SIZE: Final = 65_536
"""Bytes asked of ``recv`` at once."""

RESTED: Final = 0.001
"""Seconds of idleness after which a connection is looked at before it is used."""

DOUBTED_AFTER: Final = 0.02
"""Seconds of idleness after which a read has to hear something in half of its time."""

CHECKED_AFTER: Final = 0.2
"""Seconds of idleness after which a server is asked for a sign of life before a write is sent."""

CHECKED_FROM: Final = 0.25
"""Seconds that a call must have left for either: a shorter one could not pay for another
connection, and is not for long in doubt."""

MAX_AGE: Final = 60.0
"""Seconds of idleness after which a connection is not trusted any more."""

KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""After 30 s without a byte the kernel asks, three times; each system knows some of the names."""


def is_long(deadline: float) -> bool:
    """Say whether a call has the time to find that an idle connection leads nowhere."""
    return deadline - monotonic() >= CHECKED_FROM


class Link:
    """A socket, and the replies that come from it; to redis-py it is the connection's parser.

    After an exception, or when a caller was interrupted, close it: what comes next could belong to
    anybody.
    """

    def __init__(self, endpoint: Endpoint, addresses: Sequence[str], deadline: float) -> None:
        """Connect to one of the addresses and authenticate.

        Raises ReplyError, for a replica where only a primary will do too, and what redis-py raises.
        """
        self._deadline = deadline
        self._greeting: Any = NOTHING if endpoint.only_primary else None
        """The reply to HELLO, None where it is not asked for."""
        left = max(0.001, deadline - monotonic())
        try:
            self._made = endpoint.driver(
                **endpoint.arguments(),
                parser_class=lambda **_: self,
                socket_connect_timeout=left,
                socket_timeout=left,
            )
        except Exception as fault:
            # An old redis-py may raise an error of its own while a signal handler's is on its way.
            raise_for_signal(fault)
            raise
        if endpoint.path is None:
            self._made.try_each(addresses, deadline, endpoint.tls)
        try:
            self._made.connect()
            self._look_at_role()
        except BaseException:
            self.close()
            raise

    def on_connect(self, connection: Any) -> None:
        """Take the socket over: redis-py has opened it, and goes on to authenticate."""
        # As redis-py's own parsers do; there is no other way to the socket.
        self.socket: socket.socket = connection._sock
        # A store whose event loop has ended, or that nobody closed, goes without a ResourceWarning.
        weakref.finalize(self, self.socket.close).atexit = False
        self.socket.setblocking(False)
        if self.socket.family != socket.AF_UNIX:
            _keep_alive(self.socket)
        self.encrypted = isinstance(self.socket, SSLSocket)
        self._poller = select.poll()
        self._poller.register(self.socket, select.POLLIN)
        reader = new_reader()
        self.feed, self.gets, self.has_more = reader.feed, reader.gets, reader.has_data

    def on_disconnect(self) -> None:
        """Nothing to do: redis-py closes the socket."""

    def read_response(self, *_: Any, **__: Any) -> Any:
        """Return the next reply, while redis-py makes the connection."""
        first = self._greeting is NOTHING
        if first:  # behind what redis-py has just sent, it takes no round trip of its own
            self._ask_role()
        reply = self._reply()
        if type(reply) is ReplyError:
            raise reply
        if first:
            self._greeting = self._reply()
        return reply

    def _look_at_role(self) -> None:
        """Leave a replica, if only a primary will do."""
        if self._greeting is NOTHING:
            self._ask_role()
            self._greeting = self._reply()
        if type(self._greeting) is ReplyError and not refuses_hello(self._greeting):
            raise self._greeting
        self.tells_role = told_role(self._greeting) is not None
        if is_replica(self._greeting):
            raise demoted()

    def _ask_role(self) -> None:
        try:
            self.socket.sendall(HELLO)
        except ConnectionError as fault:  # what the server said before it went is still to be read
            raise_for_signal(fault)

    def _reply(self) -> Any:
        [reply] = self.replies(1, self._deadline, self._deadline)
        return reply

    def replies(self, count: int, deadline: float, first: float) -> list[Any]:
        """Return the next replies.

        Raises DeadlineExceeded at the deadline, whatever trickles in; and at ``first``, an earlier
        one, if nothing at all came by then.
        """
        found: list[Any] = []
        gets = self.gets
        while True:
            reply = gets()
            if reply is NOTHING:
                self.feed(self._receive(first))
                first = deadline
                continue
            found.append(reply)
            if len(found) == count:
                return found

    def _receive(self, deadline: float) -> bytes:
        while monotonic() < deadline:
            try:
                data = self.socket.recv(SIZE)
            except (BlockingIOError, SSLWantReadError):
                self.wait(select.POLLIN, deadline)
            else:
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                return data
        raise DeadlineExceeded

    def wait(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready, or the deadline."""
        self._poller.modify(self.socket, event)
        self._poller.poll(max(0.0, deadline - monotonic()) * 1000)
        self._poller.modify(self.socket, select.POLLIN)

    def is_quiet(self) -> bool:
        """Say whether nothing is there to be read, not even the end that a server left."""
        return not self._poller.poll(0)

    def close(self) -> None:
        """Close the socket."""
        self._made.disconnect()


def _keep_alive(connected: socket.socket) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
