"""Connections that await, for async code: aiomysql."""

import select
from asyncio import WriteTransport
from contextlib import suppress

import aiomysql
from pymysql.constants import CLIENT, CR
from pymysql.err import OperationalError

from fibonacci.plugin.runtime import aresolve_host, seconds_left, timeout_at
from fibonacci_mariadb.database import Result
from fibonacci_mariadb.settings import Settings
from fibonacci_mariadb.tls import client_context


class AwaitingDriver:
    """Opens connections that suspend the calling task."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def resolve(self, deadline: float) -> list[str]:
        return await aresolve_host(self._settings.host, deadline=deadline)

    async def connect(self, address: str, deadline: float) -> "AwaitingConnection":
        settings = self._settings
        connection = AwaitingConnection(
            aiomysql.Connection(
                host=address,
                port=settings.port,
                user=settings.user,
                password=settings.driver_password,
                db=settings.database,
                charset="utf8mb4",
                autocommit=True,
                client_flag=CLIENT.FOUND_ROWS,
                ssl=client_context(settings),
            )
        )
        try:
            await connection.open(deadline, tls=settings.tls_ca is not None)
        except BaseException:
            connection.close()
            raise
        return connection


class AwaitingConnection:
    """A connection of aiomysql's."""

    idle_since = 0.0

    def __init__(self, connection: aiomysql.Connection) -> None:
        self._connection = connection

    async def open(self, deadline: float, *, tls: bool) -> None:
        """Connect and log in."""
        seconds_left(deadline)
        async with timeout_at(deadline):
            # Not aiomysql.connect(): a caller that is cancelled has to close the connection.
            await self._connection.ping(reconnect=True)
        if tls and self._transport.get_extra_info("ssl_object") is None:
            raise OperationalError(CR.CR_SSL_CONNECTION_ERROR, "no TLS")

    async def execute(self, statement: bytes, deadline: float) -> Result:
        async with timeout_at(deadline):
            cursor = await self._connection.cursor()
            await cursor.execute(statement)
            return Result(await cursor.fetchall(), cursor.rowcount)

    def is_reusable(self) -> bool:
        transport = self._transport
        if transport.is_closing():
            return False
        # Not what the loop has read: it may not have run since the server closed its end.
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it without sending what is left of a statement."""
        if not self._connection.closed:
            with suppress(RuntimeError):  # its loop is closed
                self._transport.abort()
            self._connection.close()

    @property
    def _transport(self) -> WriteTransport:
        writer = self._connection._writer  # it has no public name
        assert writer is not None
        transport: WriteTransport = writer.transport
        return transport
