"""Connections whose callers have left: what the server does for them is to end as well."""

import os
import select
import socket
from contextlib import suppress
from time import monotonic
from typing import Final

from fibonacci.plugin.runtime import DeadlineExceeded, seconds_left
from fibonacci_postgres.driver import DriverError, PGconn, pq
from fibonacci_postgres.link import READ, WRITE, Link
from fibonacci_postgres.voices import Blocking

GONE_WITHIN: Final = 2.0
"""Seconds after which a server that does not let go of a connection is no longer waited for."""

ASK_EVERY: Final = 0.1
"""Seconds between two requests to cancel the same."""

NOTHING: Final = 0
"""What is waited for then is POLLHUP: both sides have hung up."""

_WANTS: Final = {pq.PollingStatus.READING: READ, pq.PollingStatus.WRITING: WRITE}


def end(link: Link) -> None:
    """Have the server stop, and close the connection when it has; for a thread, as it blocks.

    A server that waits for a lock does not see that its client has left. Until it is gone, the
    connection keeps its place in the pool: who asks again and again, and never waits for an answer,
    has the server work for no more connections than others do.
    """
    deadline = monotonic() + GONE_WITHIN
    with suppress(DeadlineExceeded, DriverError):
        if link.sent:  # else it has only a part of a statement, and does nothing yet
            _stop(link, deadline)
    with suppress(DeadlineExceeded, DriverError, OSError):
        _hang_up(link, deadline)
    link.close()


def _stop(link: Link, deadline: float) -> None:
    """Ask again while no answer comes: a server that has not begun yet ignores it."""
    _cancel(link.pgconn, deadline)
    while not _has_stopped(link, min(deadline, monotonic() + ASK_EVERY)):
        _cancel(link.pgconn, deadline)


def _cancel(pgconn: PGconn, deadline: float) -> None:
    """Ask the server to cancel; over a connection of its own, with TLS where the first has it.

    DriverError where that fails, and where libpq is older than 17: its way to cancel knows no
    deadline.
    """
    request = pgconn.cancel_conn()
    request.start()
    while wants := _WANTS.get(pq.PollingStatus(request.poll())):
        _wait(request.socket, wants, deadline)


def _has_stopped(link: Link, deadline: float) -> bool:
    """Read the answer to its end, until the deadline."""
    voice = Blocking()
    with suppress(DeadlineExceeded):
        while not link.advance():
            voice.wait(link, deadline)
        return True
    return False


def _hang_up(link: Link, deadline: float) -> None:
    """Say goodbye, and wait until the server has gone, or the deadline.

    A backend of PostgreSQL leaves it to the system to close its connection, when it has ended.
    """
    with socket.socket(fileno=os.dup(link.pgconn.socket)) as connection:  # outlives libpq's own
        link.close_quietly()
        connection.shutdown(socket.SHUT_WR)
        _wait(connection.fileno(), NOTHING, deadline)


def _wait(fd: int, wants: int, deadline: float) -> None:
    poller = select.poll()
    poller.register(fd, wants)
    poller.poll(int(seconds_left(deadline) * 1000) + 1)
