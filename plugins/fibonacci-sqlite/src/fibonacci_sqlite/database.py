"""The database that operations use: runs work on a connection, and retries while it is busy."""

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from typing import Final, TypeVar, TypeVarTuple

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import backoff, raise_for_signal
from fibonacci_sqlite.connection import Connection, open_connection
from fibonacci_sqlite.faults import is_busy, map_error
from fibonacci_sqlite.pool import ConnectionPool
from fibonacci_sqlite.settings import ConnectionOptions

SLOW_REQUEST: Final = 1.0
"""Seconds of waiting for a lock after which that is logged."""

_log: Final = logging.getLogger("fibonacci.sqlite")

Args = TypeVarTuple("Args")
T = TypeVar("T")


class Database:
    """Runs work on connections to one file.

    SQLite's own waiting is switched off: it knows no deadline, and would not release the
    connection, for which a fork in this process has to wait.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Open nothing yet."""
        self.path = options.path
        self._options = options
        self._pool = ConnectionPool(partial(open_connection, options))

    def run(
        self,
        work: Callable[[Connection, *Args], T],
        *args: *Args,
        deadline: float,
        writes: bool = False,
    ) -> T:
        """Return ``work(connection, *args)``; retry while the database is busy, until the deadline.

        Raises StorageError.
        """
        if writes:
            self._check_writable()
        attempt, waiting_since = 0, 0.0
        while True:
            connection = None
            try:
                connection = self._pool.getconn()
                result = work(connection, *args)
            except sqlite3.Error as error:
                begun = self._discard(connection, error)
                raise_for_signal(error)
                if not is_busy(error):
                    raise map_error(error, self._options, writing=writes and begun) from error
                if not attempt:
                    waiting_since = monotonic()
                    _log.debug("database %r is locked by another writer", self.path)
                if not _back_off(attempt, deadline):
                    self._log_wait(waiting_since)
                    raise self._busy_error() from error
                attempt += 1
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            else:
                self._pool.putconn(connection)
                if attempt:
                    self._log_wait(waiting_since)
                return result

    def close(self) -> None:
        """Close all connections; those in use as soon as their work is done."""
        self._pool.close()

    def _check_writable(self) -> None:
        if self._options.readonly:
            raise StorageError(
                f"database {self.path!r} is read-only, as it was opened with readonly=true"
            )

    def _discard(self, connection: Connection | None, error: sqlite3.Error) -> bool:
        """Put the connection back, or close it; return whether there was one to work on."""
        if connection is None:
            return False
        if is_busy(error) and not connection.database.in_transaction:
            self._pool.putconn(connection)
        else:
            connection.close()
        return True

    def _log_wait(self, waiting_since: float) -> None:
        """Log that a request waited for long."""
        seconds = monotonic() - waiting_since
        if seconds >= SLOW_REQUEST:
            _log.info("a request waited %.1f s for locks of database %r", seconds, self.path)

    def _busy_error(self) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"database {self.path!r} was locked by other writers until the deadline, and nothing "
            f"was done. Raise the timeout, or find the process that keeps a transaction open"
        )


def _back_off(attempt: int, deadline: float) -> bool:
    """Wait before a retry; return False, without waiting, if the deadline is sooner.

    The wait is random up to a bound that doubles from 0.25 ms to 16 ms: a write takes a tenth of
    that, but some wait for a disk.
    """
    seconds = backoff(attempt, base=0.00025, cap=0.016)
    if monotonic() + seconds > deadline:
        return False
    sleep(seconds)
    return True
