"""One connection: redis-py opens, encrypts and authenticates it; we send and read on its socket.

redis-py bounds each ``recv``; we bound the whole reply, so a server that sends a byte now and then
does not hold a caller beyond its deadline, not even while it connects.

A server has to report that it is a primary: a replica may lag behind its primary, so none is read.
The pool of blocking connections is in `blocking_node`, the shared async connection in `multiplex`.
"""

import select
import socket
import weakref
from collections.abc import Sequence
from ssl import SSLEOFError, SSLError, SSLSocket, SSLWantReadError
from time import monotonic
from typing import Any, Final

from redis.exceptions import RedisError

from fibonacci.plugin.runtime import DeadlineExceeded, raise_for_signal
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import PERMANENT, TOO_MANY_CLIENTS, TRANSIENT
from fibonacci_redis.protocol import INCOMPLETE, ReplyError, Request, create_reader, pack

RECV_SIZE: Final = 65_536
"""Bytes that one ``recv`` returns at most."""

IDLE_CHECK_AFTER: Final = 0.001
"""Seconds of idleness after which a connection is checked for an end of file before it is used."""

DOUBT_AFTER: Final = 0.02
"""Seconds of idleness after which a read must get its first bytes in half of its time."""

PING_AFTER: Final = 0.2
"""Seconds of idleness after which a server must respond to a PING before a write is sent."""

MIN_CHECK_TIMEOUT: Final = 0.25
"""Seconds that a call must have left for either check: with less there is no time for another
connection, and the call ends soon anyway."""

MAX_IDLE: Final = 64
"""Idle connections that the pool of a node retains; more may be in use."""

MAX_IDLE_TIME: Final = 60.0
"""Seconds of idleness after which a connection is not used again."""

KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""After 30 s without a byte the kernel sends three probes; each system has some of the names."""

HELLO: Final = pack((b"HELLO",))
"""Makes a server report its role. No ACL rule can forbid it: clients send it to log in."""

ROLE_TTL: Final = 0.1
"""Seconds for which a server's report of its role is valid. A later read checks it again, in the
same round trip: when a primary becomes a replica, its connections may stay open. A shorter time
would cost each read some microseconds more if there are few reads a second."""


def can_afford_check(deadline: float) -> bool:
    """Return whether a call has the time to find out that an idle connection is dead."""
    return deadline - monotonic() >= MIN_CHECK_TIMEOUT


def prepend_hello(request: Request) -> Request:
    """Return a request whose first reply is the server's role."""
    slot, data, reply_count, writes, atomic = request
    return Request(slot, HELLO + data, reply_count + 1, writes, atomic)


def parse_role(reply: Any) -> bytes | None:
    """Return the role in a reply to HELLO; None if the server does not report it."""
    if type(reply) is not list:
        return None
    fields = zip(reply[::2], reply[1::2], strict=False)
    return next((value for name, value in fields if name == b"role"), None)


def is_replica(reply: Any) -> bool:
    """Return whether a reply to HELLO is a replica's."""
    return parse_role(reply) in (b"replica", b"slave")


def is_hello_unsupported(error: ReplyError) -> bool:
    """Return whether an error is about HELLO: a proxy may lack it, a server may have renamed it.

    Other errors are about the connection, such as too many clients.
    """
    if error.code in (*PERMANENT, *TRANSIENT) and error.code != "NOPERM":
        return False
    return not any(text in str(error) for text in TOO_MANY_CLIENTS)


def replica_error() -> ReplyError:
    """Return a replica's reply to a write, which we use as its reply to a read, too."""
    return ReplyError("READONLY it is a replica")


class Connection:
    """A socket and the replies read from it; redis-py uses it as the parser of its connection.

    Close it after an exception, or if a caller was interrupted: the next reply could belong to
    another request.
    """

    def __init__(self, endpoint: Endpoint, addresses: Sequence[str], deadline: float) -> None:
        """Connect to one of the addresses and authenticate.

        Raises ReplyError, also for a replica if the endpoint allows only a primary, and redis-py's
        errors.
        """
        self._deadline = deadline
        self._hello_reply: Any = INCOMPLETE if endpoint.primary_only else None
        """The reply to HELLO; None if the role does not matter."""
        self._is_connecting = False
        self._tls_alert: SSLError | None = None
        timeout = max(0.001, deadline - monotonic())
        try:
            self._redis_py = endpoint.connection_class(
                **endpoint.connection_arguments(),
                parser_class=lambda **_: self,
                socket_connect_timeout=timeout,
                socket_timeout=timeout,
            )
        except Exception as error:
            # An old redis-py may replace a signal handler's exception by its own.
            raise_for_signal(error)
            raise
        if endpoint.path is None:
            self._redis_py.set_addresses(addresses, deadline, endpoint.tls)
        try:
            self._redis_py.connect()
            self._check_role()
        except BaseException as error:
            self.close()
            if self._tls_alert is not None and isinstance(error, RedisError):
                raise self._tls_alert from error
            raise
        self._is_connecting = False

    def on_connect(self, connection: Any) -> None:
        """Take over the socket: redis-py has opened it, and authenticates next."""
        # As redis-py's own parsers do; there is no other way to the socket.
        self.socket: socket.socket = connection._sock
        # No ResourceWarning for a store whose event loop has ended, or that nobody closed.
        weakref.finalize(self, self.socket.close).atexit = False
        self.socket.setblocking(False)
        if self.socket.family != socket.AF_UNIX:
            _enable_keepalive(self.socket)
        self.is_encrypted = isinstance(self.socket, SSLSocket)
        self._poller = select.poll()
        self._poller.register(self.socket, select.POLLIN)
        self._is_connecting = True
        reader = create_reader()
        self.feed, self.gets, self.has_unread = reader.feed, reader.gets, reader.has_data

    def on_disconnect(self) -> None:
        """Keep the server's TLS alert, if there is one: redis-py closes the socket, unread.

        With TLS 1.3 a server may refuse the client's certificate when redis-py already sends.
        """
        if not (self._is_connecting and self.is_encrypted):
            return
        try:
            self.socket.recv(1)
        except OSError as error:
            raise_for_signal(error)
            if isinstance(error, SSLError) and "ALERT" in str(error.reason):
                self._tls_alert = error

    def read_response(self, *_: Any, **__: Any) -> Any:
        """Return the next reply, while redis-py connects."""
        is_first = self._hello_reply is INCOMPLETE
        if is_first:  # sent after redis-py's own first command, it takes no extra round trip
            self._send_hello()
        reply = self._read_reply()
        if type(reply) is ReplyError:
            raise reply
        if is_first:
            self._hello_reply = self._read_reply()
        return reply

    def _check_role(self) -> None:
        """Raise ReplyError for a replica if the endpoint allows only a primary."""
        if self._hello_reply is INCOMPLETE:
            self._send_hello()
            self._hello_reply = self._read_reply()
        if type(self._hello_reply) is ReplyError and not is_hello_unsupported(self._hello_reply):
            raise self._hello_reply
        self.reports_role = parse_role(self._hello_reply) is not None
        if is_replica(self._hello_reply):
            raise replica_error()

    def _send_hello(self) -> None:
        try:
            self.socket.sendall(HELLO)
        except (ConnectionError, SSLEOFError) as error:
            raise_for_signal(error)  # what the server sent before it closed is still unread

    def _read_reply(self) -> Any:
        [reply] = self.read_replies(1, self._deadline, self._deadline)
        return reply

    def read_replies(self, count: int, deadline: float, first_deadline: float) -> list[Any]:
        """Return the next replies.

        Raises DeadlineExceeded at the deadline, even if bytes trickle in; and at the earlier
        ``first_deadline`` if nothing at all arrived by then.
        """
        replies: list[Any] = []
        gets = self.gets
        while True:
            reply = gets()
            if reply is INCOMPLETE:
                self.feed(self._recv(first_deadline))
                first_deadline = deadline
                continue
            replies.append(reply)
            if len(replies) == count:
                return replies

    def _recv(self, deadline: float) -> bytes:
        while monotonic() < deadline:
            try:
                data = self.socket.recv(RECV_SIZE)
            except (BlockingIOError, SSLWantReadError):
                self.wait_for(select.POLLIN, deadline)
            else:
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                return data
        raise DeadlineExceeded

    def wait_for(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready, or until the deadline."""
        self._poller.modify(self.socket, event)
        self._poller.poll(max(0.0, deadline - monotonic()) * 1000)
        self._poller.modify(self.socket, select.POLLIN)

    def is_readable(self) -> bool:
        """Return whether there is anything to read, including an end of file."""
        return bool(self._poller.poll(0))

    def close(self) -> None:
        """Close the socket."""
        self._redis_py.disconnect()


def _enable_keepalive(connected: socket.socket) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
