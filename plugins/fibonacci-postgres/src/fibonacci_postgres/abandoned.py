"""Closing a connection whose caller has left: the server has two seconds to end its work for it."""

import os
import select
import socket
from contextlib import suppress
from time import monotonic
from typing import Final

from fibonacci.plugin.runtime import DeadlineExceeded, seconds_left
from fibonacci_postgres.connection import READ, WRITE, Connection
from fibonacci_postgres.driver import DriverError, PGconn, pq
from fibonacci_postgres.waiting import BlockingWait

CANCEL_TIMEOUT: Final = 2.0
"""Seconds after which the connection is closed even if the server has not closed its end."""

CANCEL_INTERVAL: Final = 0.1
"""Seconds between two cancel requests for the same statement."""

_HANGUP_ONLY: Final = 0
"""No events: ``poll`` then reports POLLHUP only, once both ends have shut down."""

_EVENTS: Final = {pq.PollingStatus.READING: READ, pq.PollingStatus.WRITING: WRITE}


def cancel_and_close(connection: Connection) -> None:
    """Cancel the running statement, and close the connection when the server has closed its end.

    Blocks, so it runs in a background thread. A server that waits for a lock or starts a session
    does not notice that its client has left. Until it does, the connection keeps its slot in the
    pool: a caller that sends request after request without waiting for results can't occupy more
    of the server than other callers do.
    """
    deadline = monotonic() + CANCEL_TIMEOUT
    with suppress(DeadlineExceeded, DriverError):
        # A server that has only part of a statement is idle; one that connects executes nothing.
        if connection.sent and connection.is_executing():
            _cancel_until_stopped(connection, deadline)
    with suppress(DeadlineExceeded, DriverError, OSError):
        _wait_for_close(connection, deadline)
    connection.close()


def _cancel_until_stopped(connection: Connection, deadline: float) -> None:
    """Repeat the request: a server that has not started the statement yet ignores it."""
    _cancel(connection.pgconn, deadline)
    while not _has_stopped(connection, min(deadline, monotonic() + CANCEL_INTERVAL)):
        _cancel(connection.pgconn, deadline)


def _cancel(pgconn: PGconn, deadline: float) -> None:
    """Send a cancel request, over a second connection that uses TLS if the first does.

    Raises DriverError if that fails, and with libpq before 17, whose cancel function takes no
    deadline.
    """
    request = pgconn.cancel_conn()
    request.start()
    while events := _EVENTS.get(pq.PollingStatus(request.poll())):
        _poll(request.socket, events, deadline)


def _has_stopped(connection: Connection, deadline: float) -> bool:
    """Read the response until it is complete, or until the deadline."""
    strategy = BlockingWait()
    with suppress(DeadlineExceeded):
        while not connection.process_io():
            strategy.wait(connection, deadline)
        return True
    return False


def _wait_for_close(connection: Connection, deadline: float) -> None:
    """Close our end, and wait until the server has closed its end, or until the deadline.

    The operating system closes a PostgreSQL backend's socket when the backend has exited.
    """
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as duplicate:  # outlives libpq's
        connection.finish()
        duplicate.shutdown(socket.SHUT_WR)
        _poll(duplicate.fileno(), _HANGUP_ONLY, deadline)


def _poll(fd: int, events: int, deadline: float) -> None:
    poller = select.poll()
    poller.register(fd, events)
    poller.poll(int(seconds_left(deadline) * 1000) + 1)
