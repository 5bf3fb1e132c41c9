"""A server for sync code: a pool of blocking connections, each used by one thread at a time."""

import logging
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
from fibonacci_redis.connection import (
    DOUBT_AFTER,
    IDLE_CHECK_AFTER,
    MAX_IDLE,
    MAX_IDLE_TIME,
    PING_AFTER,
    ROLE_TTL,
    Connection,
    can_afford_check,
    is_replica,
    prepend_hello,
    replica_error,
)
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import (
    CONNECT_ERRORS,
    EXCHANGE_ERRORS,
    deadline_error,
    is_timeout,
    map_connect_error,
    map_exchange_error,
)
from fibonacci_redis.protocol import PING, NotSentError, ReplyLostError, Request

RECV_TIMEOUT: Final = struct.pack("ll", 0, 4_000)
"""How long the kernel waits in ``recv`` (4 ms) before ``poll`` does, for the time that is left.

A socket with Python's own timeout polls before each call, which costs 6 % of a round trip. The
kernel's timeout costs nothing, but restarts after each signal: a timer that fires more often would
hold a caller for ever. So the kernel waits briefly, and ``poll`` does the long wait.
"""

_log: Final = logging.getLogger("fibonacci.redis")


class BlockingConnection:
    """A connection used by one caller at a time."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.idle_since = monotonic()
        self.idle_time = 0.0
        """Seconds that it was idle when its caller got it."""
        self._role_checked_at = self.idle_since if connection.reports_role else inf
        """When the server reported that it is a primary."""
        self._is_role_stale = False
        self._read_replies = connection.read_replies
        self._socket = connection.socket
        self._flags = 0 if connection.is_encrypted else socket.MSG_DONTWAIT
        if not connection.is_encrypted:  # TLS would treat the kernel's timeout as "try again"
            _set_recv_timeout(connection.socket)

    def execute(self, request: Request, deadline: float) -> list[Any]:
        """Send a request and return its replies. Raises NotSentError or ReplyLostError."""
        checks_role = self._is_role_stale and not request.writes  # a replica refuses writes itself
        if checks_role:
            request = prepend_hello(request)
        first_deadline = deadline
        if not request.writes and self.idle_time > DOUBT_AFTER and can_afford_check(deadline):
            # It may be dead: leave time to retry on another one, which is safe for a read.
            first_deadline = share_deadline(deadline, 2)
        self._send(request.data, deadline)
        try:
            replies = self._read_replies(request.reply_count, deadline, first_deadline)
        except EXCHANGE_ERRORS as error:
            raise_for_signal(error)
            raise ReplyLostError from error
        return self._accept_primary(replies) if checks_role else replies

    def _accept_primary(self, replies: list[Any]) -> list[Any]:
        """Return the replies after the role; errors if the role is a replica's."""
        if is_replica(replies.pop(0)):
            return [replica_error() for _ in replies]
        self._is_role_stale, self._role_checked_at = False, self.idle_since + self.idle_time
        return replies

    def _send(self, data: bytes | memoryview, deadline: float) -> None:
        """Send all of it. NotSentError is raised only if the kernel reports that it is not."""
        while True:
            try:
                sent = self._socket.send(data, self._flags)
            except (BlockingIOError, SSLWantWriteError):
                self.connection.wait_for(select.POLLOUT, deadline)
            except OSError as error:
                raise_for_signal(error)
                raise NotSentError from error
            else:
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]
            if monotonic() >= deadline:
                raise NotSentError from DeadlineExceeded()

    def is_reusable(self) -> bool:
        """Return whether it is open: a server that closed it left an end of file to read."""
        now = monotonic()
        self.idle_time = now - self.idle_since
        self._is_role_stale = now - self._role_checked_at > ROLE_TTL
        return self.idle_time < IDLE_CHECK_AFTER or not self.connection.is_readable()

    def close(self) -> None:
        """Close it."""
        self.connection.close()


def _set_recv_timeout(connected: socket.socket) -> None:
    """Make ``recv`` wait in the kernel for RECV_TIMEOUT, if the kernel is what waits.

    A socket of gevent never blocks, and ignores the kernel's timeout: it waits in ``poll``, as one
    with TLS does.
    """
    connected.setblocking(True)
    if os.get_blocking(connected.fileno()):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, RECV_TIMEOUT)
    else:
        connected.setblocking(False)


class BlockingNode:
    """A pool of connections to one server; the one used last is reused first."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.was_reached = False
        self._pool: IdlePool[BlockingConnection] = IdlePool(
            max_idle=MAX_IDLE, max_age=MAX_IDLE_TIME, logger=_log, server=endpoint
        )

    async def execute(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, including error replies."""
        connection = self._getconn(deadline, writes=request.writes)
        replies = self._execute_on(connection, request, deadline)
        self._putconn(connection)
        return replies

    async def session(self, deadline: float) -> "BlockingSession":
        """Return a connection for several requests in a row, of which the first only reads."""
        return BlockingSession(self, self._getconn(deadline, writes=False))

    def _execute_on(
        self, connection: BlockingConnection, request: Request, deadline: float
    ) -> list[Any]:
        try:
            return connection.execute(request, deadline)
        except (ReplyLostError, NotSentError) as error:
            connection.close()
            if is_timeout(error) and connection.idle_time > IDLE_CHECK_AFTER:
                self._pool.clear_older_than(connection.idle_time)
            raise map_exchange_error(error, str(self.endpoint), request) from error.__cause__
        except BaseException:  # the next reply could belong to this request
            connection.close()
            raise

    def _getconn(self, deadline: float, *, writes: bool) -> BlockingConnection:
        if monotonic() >= deadline:
            raise deadline_error(self.endpoint)
        connection = self._pool.pop()
        if connection is None:
            return self._connect(deadline)
        # Nobody can tell whether a write on a dead connection was applied.
        needs_ping = writes and connection.idle_time > PING_AFTER and can_afford_check(deadline)
        if needs_ping and not self._responds_to_ping(connection, deadline):
            return self._connect(deadline)
        return connection

    def _responds_to_ping(self, connection: BlockingConnection, deadline: float) -> bool:
        # With an idle time of 0, PING may use all of its half of the time.
        idle_time, connection.idle_time = connection.idle_time, 0.0
        try:
            self._execute_on(connection, PING, share_deadline(deadline, 2))
        except BackendUnavailableError:
            _log.debug(
                "no response from %s on a connection that was idle for %.1f s",
                self.endpoint,
                idle_time,
            )
            self._pool.clear_older_than(idle_time)
            return False
        return True

    def _connect(self, deadline: float) -> BlockingConnection:
        try:
            addresses = self.endpoint.resolve(deadline)
            connection = BlockingConnection(Connection(self.endpoint, addresses, deadline))
        except CONNECT_ERRORS as error:
            raise_for_signal(error)
            mapped = map_connect_error(error, self.endpoint)
        else:
            self.was_reached = True
            _log.debug("connected to %s", self.endpoint)
            return connection
        raise mapped  # not in the block: redis-py's error would be its context

    def _putconn(self, connection: BlockingConnection) -> None:
        # A surplus reply would go to the next caller.
        if connection.connection.has_unread():
            connection.close()
        else:
            self._pool.push(connection)

    def drop_connections(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def close(self) -> None:
        """Close the idle connections, and each other one when it is returned."""
        self._pool.close()

    retire = close


class BlockingSession:
    """A connection reserved for several requests in a row."""

    def __init__(self, node: BlockingNode, connection: BlockingConnection) -> None:
        self._node = node
        self._connection = connection

    async def execute(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, including error replies."""
        return self._node._execute_on(self._connection, request, deadline)

    def release(self, *, reusable: bool) -> None:
        """Return the connection to the pool; close it unless its state is as before."""
        if reusable:
            self._node._putconn(self._connection)
        else:
            self._connection.close()
