"""One connection, in steps that never block: a wait strategy waits between them."""

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, Final

from fibonacci_postgres.driver import DriverError, PGconn, PGresult, pq
from fibonacci_postgres.slots import ConnectionSlot
from fibonacci_postgres.statements import Parameters, Statement

BINARY: Final = int(pq.Format.BINARY)
READ: Final = select.POLLIN
WRITE: Final = select.POLLOUT


class Connection:
    """A connection to the server, used by one caller at a time.

    libpq only sends without blocking and parses what has arrived. So a deadline holds against a
    server that sends nothing, or one byte a second, and a signal handler runs at once.
    """

    __slots__ = (
        "__weakref__",
        "_pid",
        "broken",
        "events",
        "fd",
        "idle_since",
        "max_poll_interval",
        "pgconn",
        "poller",
        "prepared",
        "results",
        "sent",
        "slot",
    )

    pgconn: PGconn

    def __init__(self, slot: ConnectionSlot | None = None) -> None:
        self._pid = os.getpid()
        self.slot = slot
        """The pool's slot, held until the connection is closed."""
        self.fd = -1
        self.events = 0
        self.poller = select.poll()
        self.max_poll_interval = inf
        """Seconds to wait for the socket at most before libpq is called again."""
        self.prepared: set[bytes] = set()
        """The names of the statements that are prepared on this connection."""
        self.results: list[PGresult] = []
        self.sent = True
        """Whether the request's last byte may be sent: without it, nothing is committed."""
        self.broken = False
        self.idle_since = 0.0
        """Set by the pool."""

    def register(self, fd: int, events: int) -> None:
        """Set what to wait for; libpq may change the socket while it connects."""
        if fd != self.fd:
            self.poller = select.poll()
        self.poller.register(fd, events)
        self.fd, self.events = fd, events

    def on_connected(self) -> None:
        """Set up the connection for requests, once it is established."""
        self.pgconn.nonblocking = 1
        self.register(self.pgconn.socket, READ)
        if self.pgconn.ssl_in_use:
            # libpq may hold decrypted bytes, for which no socket becomes readable.
            self.max_poll_interval = 0.1

    def send_prepared(self, statement: Statement, parameters: Parameters) -> None:
        """Send a request to execute a prepared statement."""
        # _send, inlined: every call takes this path.
        pgconn = self.pgconn
        self.sent = True
        try:
            pgconn.send_query_prepared(statement.name, parameters, statement.formats, BINARY)
        except DriverError:
            self.sent = False
            raise
        if pgconn.flush():
            self.sent = False
            self.register(self.fd, READ | WRITE)

    def send_unprepared(self, statement: Statement, parameters: Parameters) -> None:
        """Send a statement as text, with its parameters."""
        send, types = self.pgconn.send_query_params, statement.types
        self._send(send, statement.sql, parameters, types, statement.formats, BINARY)

    def send_prepare(self, statement: Statement) -> None:
        """Send a request to prepare a statement."""
        self._send(self.pgconn.send_prepare, statement.name, statement.sql, statement.types)

    def send_script(self, sql: bytes) -> None:
        """Send statements without parameters; they are one transaction."""
        self.results = []  # the previous statement may have failed
        self._send(self.pgconn.send_query, sql)

    def _send(self, send: Callable[..., None], *arguments: Any) -> None:
        self.sent = True  # set first: a signal handler may raise right after the last byte
        try:
            send(*arguments)
        except DriverError:
            self.sent = False
            raise
        if self.pgconn.flush():
            self.sent = False
            self.register(self.fd, READ | WRITE)

    def process_io(self) -> bool:
        """Read what has arrived and send what is left; return whether the response is complete."""
        pgconn = self.pgconn
        try:
            pgconn.consume_input()
            if not self.sent:
                self._flush()
        except DriverError:
            self.broken = True  # what arrived before, perhaps the reason, can still be read
        while not pgconn.is_busy():
            if (result := pgconn.get_result()) is None:
                return True
            self.results.append(result)
        return self.broken

    def take_result(self) -> PGresult | None:
        """Return the last statement's result; None if a statement failed."""
        results = self.results
        for result in results:
            if result.status not in _SUCCESS:
                return None
        self.results = []  # a value may be large, and the connection idle for long
        return results[-1] if results and not self.broken else None

    def is_reusable(self) -> bool:
        """Return whether nothing arrived while it was idle.

        A server that shuts down sends a message first.
        """
        return not self.poller.poll(0)

    @property
    def server(self) -> str:
        """The address of the connected server, for a log."""
        pgconn = self.pgconn
        return f"{(pgconn.hostaddr or pgconn.host).decode()}, port {pgconn.port.decode()}"

    def is_executing(self) -> bool:
        """Return whether the server may still execute a statement for this process."""
        return self.is_owned() and self.pgconn.transaction_status == _ACTIVE

    def is_connecting(self) -> bool:
        """Return whether the server may still start the session for this process."""
        return self.is_owned() and self.pgconn.status not in _SETTLED

    def is_owned(self) -> bool:
        """Return whether this process opened it: a forked child's copy is its parent's."""
        return self.fd >= 0 and self._pid == os.getpid()

    def close(self) -> None:
        """Close the connection and release its slot."""
        self.finish()
        self.slot = None

    def finish(self) -> None:
        """Close the connection but keep its slot; never blocks.

        The server gets a Terminate message if that can be sent at once.
        """
        self.broken = True
        if not self.is_owned():
            return
        if not self.sent:
            self._discard_unsent()
        self.pgconn.finish()

    def _discard_unsent(self) -> None:
        """Shut the socket for writing: ``PQfinish`` would send the rest of the request."""
        with (
            suppress(OSError, DriverError),
            socket.socket(fileno=os.dup(self.pgconn.socket)) as duplicate,
        ):
            duplicate.shutdown(socket.SHUT_WR)

    def _flush(self) -> None:
        self.sent = not self.pgconn.flush()
        events = READ if self.sent else READ | WRITE
        if events != self.events:
            self.register(self.fd, events)


_SUCCESS: Final = (int(pq.ExecStatus.TUPLES_OK), int(pq.ExecStatus.COMMAND_OK))
_SETTLED: Final = (int(pq.ConnStatus.OK), int(pq.ConnStatus.BAD))
_ACTIVE: Final = int(pq.TransactionStatus.ACTIVE)
"""Integers, as comparing with an enum member takes four times as long."""
