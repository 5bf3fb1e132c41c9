"""Connections that block, for sync code: PyMySQL.

The timeouts of PyMySQL start again with each byte. So it gets a socket that gives each wait only
the time that is left until the deadline.
"""

import select
import socket
import ssl
from contextlib import suppress
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from fibonacci.plugin.runtime import resolve_host, seconds_left
from fibonacci_mariadb.database import Result
from fibonacci_mariadb.settings import Settings
from fibonacci_mariadb.tls import HostContext, client_context


class Clock:
    """The deadline of the request that a connection serves."""

    deadline = 0.0


class DeadlineSocket(socket.socket):
    """A socket whose calls, those that PyMySQL makes, end by a deadline."""

    clock: Clock

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        self.apply_deadline()
        return super().recv_into(*arguments, **options)

    def send(self, *arguments: Any, **options: Any) -> int:
        self.apply_deadline()
        return super().send(*arguments, **options)

    def sendall(self, *arguments: Any, **options: Any) -> None:
        self.apply_deadline()
        super().sendall(*arguments, **options)

    def apply_deadline(self) -> None:
        """Limit the next call. Raises DeadlineExceeded after the deadline."""
        self.settimeout(seconds_left(self.clock.deadline))


class DeadlineTLSSocket(DeadlineSocket, ssl.SSLSocket):
    """The same for TLS, whose ``sendall`` calls ``send``."""


class DeadlineContext(HostContext):
    """Begins TLS on a DeadlineSocket."""

    sslsocket_class = DeadlineTLSSocket

    def wrap_socket(self, sock: socket.socket, *_: Any, **__: Any) -> DeadlineTLSSocket:
        assert isinstance(sock, DeadlineSocket)
        wrapped = super().wrap_socket(
            sock, do_handshake_on_connect=False, server_hostname=self.host
        )
        assert isinstance(wrapped, DeadlineTLSSocket)
        try:
            wrapped.clock = sock.clock
            wrapped.apply_deadline()
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


class BlockingDriver:
    """Opens connections that block the calling thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def resolve(self, deadline: float) -> list[str]:
        return resolve_host(self._settings.host, deadline=deadline)

    async def connect(self, address: str, deadline: float) -> "BlockingConnection":
        settings = self._settings
        context = client_context(settings, DeadlineContext)
        connection = pymysql.Connection(
            user=settings.user,
            password=settings.driver_password,
            database=settings.database,
            charset="utf8mb4",
            autocommit=True,
            client_flag=CLIENT.FOUND_ROWS,
            ssl=context,
            ssl_disabled=context is None,
            defer_connect=True,
        )
        sock = _connect(address, settings.port, deadline)
        opened = BlockingConnection(connection, sock.clock, sock.fileno())
        connection.connect(sock)  # closes it if that fails
        return opened


class BlockingConnection:
    """A connection of PyMySQL's."""

    idle_since = 0.0

    def __init__(self, connection: Any, clock: Clock, fd: int) -> None:
        self._connection = connection
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    async def execute(self, statement: bytes, deadline: float) -> Result:
        self._clock.deadline = deadline
        cursor = self._connection.cursor()
        cursor.execute(statement)
        return Result(cursor.fetchall(), cursor.rowcount)

    def is_reusable(self) -> bool:
        return not self._poll.poll(0)

    def close(self) -> None:
        # PyMySQL says goodbye first: behind half a statement that would complete it.
        self._clock.deadline = 0.0
        with suppress(pymysql.Error):
            self._connection.close()


def _connect(address: str, port: int, deadline: float) -> DeadlineSocket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = DeadlineSocket(family, socket.SOCK_STREAM)
    try:
        sock.clock = Clock()
        sock.clock.deadline = deadline
        sock.apply_deadline()
        sock.connect((address, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock
