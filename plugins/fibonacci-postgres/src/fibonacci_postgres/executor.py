"""Executing statements: one attempt each, and errors that say whether a write was applied."""

import logging
from math import ceil
from time import monotonic
from typing import Final

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, no_response_error, raise_for_signal
from fibonacci_postgres import schema
from fibonacci_postgres.connect import OptionsRejectedError, connect, is_balanced
from fibonacci_postgres.connection import Connection
from fibonacci_postgres.driver import DriverError, PGresult
from fibonacci_postgres.faults import UNDEFINED_TABLE, FailedStatement, rejection_error
from fibonacci_postgres.pool import ConnectionPool
from fibonacci_postgres.settings import Settings
from fibonacci_postgres.statements import Parameters, Statement
from fibonacci_postgres.waiting import WaitStrategy

_log: Final = logging.getLogger("fibonacci.postgres")


class Executor:
    """Executes statements on the connections of a pool, and creates the table if it is missing."""

    def __init__(self, settings: Settings, strategy: WaitStrategy) -> None:
        self._settings = settings
        self._strategy = strategy
        self._wait = strategy.wait
        self._prepares = settings.prepare
        self._parameters = settings.parameters
        if settings.prepare:  # otherwise a pooler shares the session with other clients
            options = schema.session_options(ceil(settings.timeout * 1000))
            self._parameters = settings.parameters.with_options(options)
        self._pool = ConnectionPool(settings.max_connections, strategy)
        self._table_found = False
        self._server = ""
        """Where the last new connection went."""

    def __repr__(self) -> str:
        return f"PostgreSQL at {self._settings.location}"

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    async def execute(
        self, statement: Statement, parameters: Parameters, deadline: float
    ) -> PGresult:
        """Execute a statement, and return its result.

        Raises OutcomeUnknownError if the response to a write was lost, BackendUnavailableError if
        the statement was not applied, and StorageError if a retry would fail the same way.
        """
        if monotonic() >= deadline:
            raise self._no_response_error("timed out", maybe_applied=False)
        connection = self._pool.pop_idle() or await self._getconn(deadline)
        requested = False
        try:
            if not self._table_found:
                await self._ensure_table(connection, deadline)
            if self._prepares and statement.name not in connection.prepared:
                await self._prepare(connection, statement, deadline)
            requested = True  # set first; if libpq could not send it, connection.sent is false
            if self._prepares:
                connection.send_prepared(statement, parameters)
            else:
                connection.send_unprepared(statement, parameters)
            while True:  # wait_for_response, inlined: every call takes this path
                pending = self._wait(connection, deadline)
                if pending is not None:
                    await pending
                if connection.process_io():
                    break
            if (result := connection.take_result()) is None:
                raise self._map_error(connection, writes=statement.writes)
        except (DeadlineExceeded, DriverError) as error:
            maybe_applied = requested and statement.writes and connection.sent
            self._pool.discard(connection)
            raise_for_signal(error)
            raise self._no_response_error(_reason(error), maybe_applied=maybe_applied) from None
        except BaseException:
            self._pool.discard(connection)
            raise
        self._pool.putconn(connection)
        return result

    def _no_response_error(self, reason: str, *, maybe_applied: bool) -> StorageError:
        return no_response_error(reason, repr(self), maybe_applied=maybe_applied)

    async def _getconn(self, deadline: float) -> Connection:
        try:
            return await self._pool.getconn(self._connect, deadline)
        except (DeadlineExceeded, DriverError) as error:
            raise_for_signal(error)
            raise BackendUnavailableError(
                f"no connection to PostgreSQL at {self._settings.location}: {_reason(error)}. At "
                f"most {self._settings.max_connections} are used at once (max_connections)"
            ) from None

    async def _connect(self, connection: Connection, deadline: float) -> None:
        parameters = self._parameters  # other callers may change the attribute meanwhile
        location, pooled = self._settings.location, not self._prepares
        try:
            await connect(connection, parameters, location, self._strategy, deadline, pooled)
        except OptionsRejectedError as error:
            if parameters is self._settings.parameters:  # the user's own options were rejected
                raise StorageError(*error.args) from None
            self._parameters = self._settings.parameters  # a pooler shares its sessions
            _log.info("a pooler rejected the options of the session: connecting without them")
            await self._connect(connection, deadline)
        else:
            self._log_connected(connection.server)

    def _log_connected(self, server: str) -> None:
        """Log a new connection; at INFO if the server has changed, unless each is random."""
        last, self._server = self._server, server
        if last in ("", server):
            _log.debug("connected to PostgreSQL at %s", server)
            return
        level = logging.DEBUG if is_balanced(self._parameters) else logging.INFO
        message = "connected to PostgreSQL at %s; the last connection was to %s"
        _log.log(level, message, server, last)

    async def _ensure_table(self, connection: Connection, deadline: float) -> None:
        """Check that the table exists; create it if it does not and ``create`` is on."""
        missing = not await self._table_exists(connection, deadline)
        if missing and self._settings.create:
            sql = schema.create_table_once_sql(self._settings.table)
            try:
                result = await self._execute_script(connection, sql, deadline)
            except StorageError:
                # Another process, with more privileges, may have created it first.
                if connection.broken or not await self._table_exists(connection, deadline):
                    raise
            else:
                if result.get_value(0, 0) == b"t":  # otherwise another caller was first
                    _log.info("created the table %s", schema.quote_name(self._settings.table))
        elif missing:
            message = f"table {schema.quote_name(self._settings.table)} does not exist"
            raise rejection_error(UNDEFINED_TABLE, message, self._settings.location)
        self._table_found = True

    async def _table_exists(self, connection: Connection, deadline: float) -> bool:
        sql = schema.find_table_sql(self._settings.table)
        result = await self._execute_script(connection, sql, deadline)
        version = result.get_value(0, 0) if result.ntuples else None
        if version and int(version) > schema.VERSION:
            raise StorageError(
                f"the table {schema.quote_name(self._settings.table)} in PostgreSQL at "
                f"{self._settings.location} has schema version {int(version)}, but this release of "
                f"fibonacci-postgres supports version {schema.VERSION}: upgrade fibonacci-postgres"
            )
        return bool(result.ntuples)

    async def _prepare(self, connection: Connection, statement: Statement, deadline: float) -> None:
        connection.send_prepare(statement)
        await self._fetch_result(connection, deadline)
        connection.prepared.add(statement.name)

    async def _execute_script(
        self, connection: Connection, sql: bytes, deadline: float
    ) -> PGresult:
        connection.send_script(sql)
        return await self._fetch_result(connection, deadline)

    async def _fetch_result(self, connection: Connection, deadline: float) -> PGresult:
        """Read the response completely, and return the last statement's result."""
        await self._strategy.wait_for_response(connection, deadline)
        result = connection.take_result()
        if result is None:
            raise self._map_error(connection, writes=False)
        return result

    def _map_error(self, connection: Connection, *, writes: bool) -> StorageError:
        failed = FailedStatement(connection.results, broken=connection.broken)
        if failed.sqlstate != UNDEFINED_TABLE or not self._settings.create:
            maybe_applied = writes and connection.sent
            return failed.map_error(self._settings.location, maybe_applied=maybe_applied)
        if self._table_found:  # otherwise another caller has found out
            self._table_found = False  # the next attempt creates it
            _log.info("the table %s was dropped", schema.quote_name(self._settings.table))
        return BackendUnavailableError(
            f"the table {schema.quote_name(self._settings.table)} in PostgreSQL at "
            f"{self._settings.location} no longer exists"
        )


def _reason(error: Exception) -> str:
    return "timed out" if isinstance(error, DeadlineExceeded) else "the connection broke"
