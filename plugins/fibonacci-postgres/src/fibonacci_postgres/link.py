"""One connection, in steps that never wait: a voice waits between them."""

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, Final

from fibonacci_postgres.driver import DriverError, PGconn, PGresult, pq
from fibonacci_postgres.places import Place
from fibonacci_postgres.statements import Parameters, Statement

BINARY: Final = int(pq.Format.BINARY)
READ: Final = select.POLLIN
WRITE: Final = select.POLLOUT


class Link:
    """A connection to the server, for one caller at a time.

    libpq is asked to send without waiting, and to parse what has come. So a deadline holds against
    a server that says nothing, or a byte a second, and a signal handler runs at once.
    """

    __slots__ = (
        "__weakref__",
        "_process",
        "fd",
        "idle_since",
        "lost",
        "patience",
        "pgconn",
        "place",
        "poller",
        "prepared",
        "results",
        "sent",
        "wants",
    )

    pgconn: PGconn

    def __init__(self, place: Place | None = None) -> None:
        self._process = os.getpid()
        self.place = place
        """Held until the connection is closed."""
        self.fd = -1
        self.wants = 0
        self.poller = select.poll()
        self.patience = inf
        """Seconds to wait at most before libpq is asked again."""
        self.prepared: set[bytes] = set()
        self.results: list[PGresult] = []
        self.sent = True
        """Whether the last byte of the question may be out: without it, nothing is committed."""
        self.lost = False
        self.idle_since = 0.0
        """Set by the pool."""

    def watch(self, fd: int, wants: int) -> None:
        """Say what the voice waits for; libpq may change sockets while it connects."""
        if fd != self.fd:
            self.poller = select.poll()
        self.poller.register(fd, wants)
        self.fd, self.wants = fd, wants

    def attach(self) -> None:
        """Begin to work, now that the connection is made."""
        self.pgconn.nonblocking = 1
        self.watch(self.pgconn.socket, READ)
        if self.pgconn.ssl_in_use:
            # libpq may hold decrypted bytes back, and no socket becomes readable for those.
            self.patience = 0.1

    def start(self, statement: Statement, parameters: Parameters) -> None:
        """Send a statement that is prepared."""
        # _send, written out: every call takes this path.
        pgconn = self.pgconn
        self.sent = True
        try:
            pgconn.send_query_prepared(statement.name, parameters, statement.formats, BINARY)
        except DriverError:
            self.sent = False
            raise
        if pgconn.flush():
            self.sent = False
            self.watch(self.fd, READ | WRITE)

    def start_unprepared(self, statement: Statement, parameters: Parameters) -> None:
        """Send a statement with its text."""
        send, types = self.pgconn.send_query_params, statement.types
        self._send(send, statement.sql, parameters, types, statement.formats, BINARY)

    def start_preparing(self, statement: Statement) -> None:
        """Have the server prepare a statement."""
        self._send(self.pgconn.send_prepare, statement.name, statement.sql, statement.types)

    def start_script(self, sql: bytes) -> None:
        """Send statements without parameters; they are one transaction."""
        self.results = []  # the one before may have failed
        self._send(self.pgconn.send_query, sql)

    def _send(self, send: Callable[..., None], *arguments: Any) -> None:
        self.sent = True  # before it is: a signal handler may raise just behind the last byte
        try:
            send(*arguments)
        except DriverError:
            self.sent = False
            raise
        if self.pgconn.flush():
            self.sent = False
            self.watch(self.fd, READ | WRITE)

    def advance(self) -> bool:
        """Take in what has come, send what is left; say whether the answer is complete."""
        pgconn = self.pgconn
        try:
            pgconn.consume_input()
            if not self.sent:
                self._flush()
        except DriverError:
            self.lost = True  # what came before, a reason perhaps, can still be read
        while not pgconn.is_busy():
            if (result := pgconn.get_result()) is None:
                return True
            self.results.append(result)
        return self.lost

    def result(self) -> PGresult | None:
        """Return the last statement's result, if all were done."""
        results = self.results
        for result in results:
            if result.status not in _DONE:
                return None
        self.results = []  # a value may be large, and the connection idle for long
        return results[-1] if results and not self.lost else None

    def is_reusable(self) -> bool:
        """Say whether nothing came while it was idle: a server that goes away says so."""
        return not self.poller.poll(0)

    def is_busy(self) -> bool:
        """Say whether the server may be at work, with nobody left who waits for it."""
        return self.is_own() and self.pgconn.transaction_status == _ACTIVE

    def is_own(self) -> bool:
        """Say whether it is this process's: a forked child's copy is its parent's."""
        return self.fd >= 0 and self._process == os.getpid()

    def close(self) -> None:
        """Let go of the connection and its place."""
        self.close_quietly()
        self.place = None

    def close_quietly(self) -> None:
        """Let go of the connection; the server is told, if that takes no waiting."""
        self.lost = True
        if not self.is_own():
            return
        if not self.sent:
            self._keep_the_rest()
        self.pgconn.finish()

    def _keep_the_rest(self) -> None:
        """Have nothing more go out: libpq sends what it has left, and goodbye."""
        with (
            suppress(OSError, DriverError),
            socket.socket(fileno=os.dup(self.pgconn.socket)) as connection,
        ):
            connection.shutdown(socket.SHUT_WR)

    def _flush(self) -> None:
        self.sent = not self.pgconn.flush()
        wants = READ if self.sent else READ | WRITE
        if wants != self.wants:
            self.watch(self.fd, wants)


_DONE: Final = (int(pq.ExecStatus.TUPLES_OK), int(pq.ExecStatus.COMMAND_OK))
_ACTIVE: Final = int(pq.TransactionStatus.ACTIVE)
"""Plain numbers: comparing with a member of an enum takes four times as long."""
