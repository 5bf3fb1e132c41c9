"""Running statements: on idle or new connections, and with errors that say what is certain."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Final, Protocol

import attrs
from pymysql.constants import ER

from fibonacci.plugin.runtime import IdlePool, raise_for_signal, seconds_left, share_deadline
from fibonacci_mariadb import statements
from fibonacci_mariadb.faults import (
    FAULTS,
    LOGIN_FAULTS,
    connection_error,
    error_code,
    is_permanent,
    statement_error,
)

MAX_IDLE: Final = 16
IDLE_TIMEOUT: Final = 60.0
"""Seconds without use after which a connection is replaced."""


@attrs.frozen
class Result:
    """The rows that a statement selected, and the number of rows that it found or wrote."""

    rows: Sequence[Any] = ()
    count: int = 0


class Connection(Protocol):
    """A connection of either driver, used by one caller at a time."""

    idle_since: float

    @abstractmethod
    async def execute(self, statement: bytes, deadline: float) -> Result:
        """Run one statement. Raises FAULTS, TimeoutError at the deadline among them."""

    @abstractmethod
    def is_reusable(self) -> bool:
        """Return whether the server has neither closed it nor sent anything."""

    @abstractmethod
    def close(self) -> None:
        """Close it at once."""


class Driver(Protocol):
    """How to connect: in sync or in async code."""

    @abstractmethod
    async def resolve(self, deadline: float) -> list[str]:
        """Return the addresses of the server."""

    @abstractmethod
    async def connect(self, address: str, deadline: float) -> Connection:
        """Connect and log in. Raises FAULTS, TimeoutError at the deadline among them."""


class Database:
    """The connections of one store."""

    def __init__(self, server: str, driver: Driver, create_table: bytes) -> None:
        self._server = server
        self._driver = driver
        self._create_table = create_table
        self._pool = IdlePool[Connection](max_idle=MAX_IDLE, max_age=IDLE_TIMEOUT)
        self._packet_size: int | None = None

    async def select(self, statement: bytes, deadline: float) -> Sequence[Any]:
        """Return the rows. BackendUnavailableError if there is no response."""
        return (await self._run(statement, deadline, changes=False)).rows

    async def change(self, statement: bytes, deadline: float) -> int:
        """Return how many rows matched; 0 if an INSERT found a record.

        BackendUnavailableError if it certainly was not applied, OutcomeUnknownError if it may have
        been.
        """
        return (await self._run(statement, deadline, changes=True)).count

    async def change_returning(self, statement: bytes, deadline: float) -> Sequence[Any]:
        """Return the rows that a statement changed. Raises the same errors as :meth:`change`."""
        return (await self._run(statement, deadline, changes=True)).rows

    async def packet_size(self, deadline: float) -> int:
        """Return the maximum size of a statement, in bytes, as the last new connection has it."""
        if self._packet_size is None:
            self._pool.push(await self._connect(deadline))
        assert self._packet_size is not None
        return self._packet_size

    def close(self) -> None:
        """Close all connections; those in use when they are returned."""
        self._pool.close()

    async def _run(self, statement: bytes, deadline: float, *, changes: bool) -> Result:
        connection = self._pool.pop() or await self._connect(deadline)
        sent = False
        try:
            limited = statements.limited(statement, seconds_left(deadline))
            sent = True  # before it is: an exception may be raised right after the last byte
            result = await self._execute(connection, limited, deadline)
        except FAULTS as error:
            connection.close()
            raise_for_signal(error)
            raise statement_error(error, self._server, maybe_applied=changes and sent) from None
        except BaseException:  # the caller was cancelled or interrupted
            connection.close()
            raise
        self._pool.push(connection)
        return result

    async def _execute(self, connection: Connection, statement: bytes, deadline: float) -> Result:
        try:
            return await connection.execute(statement, deadline)
        except FAULTS as error:
            code = error_code(error)
            if code == ER.DUP_ENTRY:
                return Result()
            if code != ER.NO_SUCH_TABLE:
                raise
        await connection.execute(self._create_table, deadline)
        return await self._execute(connection, statement, deadline)

    async def _connect(self, deadline: float) -> Connection:
        try:
            addresses = await self._driver.resolve(deadline)
            return await self._connect_to_one(addresses, deadline)
        except LOGIN_FAULTS as error:
            raise_for_signal(error)
            raise connection_error(error, self._server) from None

    async def _connect_to_one(self, addresses: Sequence[str], deadline: float) -> Connection:
        """Try the addresses in turn; raise the error of the last."""
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return await self._connect_to(address, share_deadline(deadline, left))
            except LOGIN_FAULTS as error:
                raise_for_signal(error)
                if left == 1 or is_permanent(error):
                    raise
        raise OSError("the host has no address")

    async def _connect_to(self, address: str, deadline: float) -> Connection:
        connection = await self._driver.connect(address, deadline)
        try:
            await connection.execute(statements.SESSION, deadline)
            result = await connection.execute(statements.PACKET_SIZE, deadline)
            # A packet has one byte before the statement, and has to be less than the limit.
            self._packet_size = int(result.rows[0][0]) - 2
        except BaseException:
            connection.close()
            raise
        return connection
