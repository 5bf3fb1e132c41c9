"""The file as operations see it: work is done on a connection, by a deadline."""

import sqlite3
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from typing import TypeVar, TypeVarTuple

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import backoff, raise_for_signal
from fibonacci_sqlite.connection import Connection, Opening, open_connection
from fibonacci_sqlite.faults import is_busy, told
from fibonacci_sqlite.pool import Pool

Given = TypeVarTuple("Given")
T = TypeVar("T")


class DatabaseFile:
    """Does work on connections to one file."""

    def __init__(self, opening: Opening) -> None:
        """Open nothing yet."""
        self.path = opening.path
        self._opening = opening
        self._pool = Pool(partial(open_connection, opening))

    def do(
        self,
        work: Callable[[Connection, *Given], T],
        *given: *Given,
        deadline: float,
        writes: bool = False,
    ) -> T:
        """Do work on a connection, again and again while the file is busy, until the deadline.

        SQLite's own waiting is switched off: it knows no deadline, and would keep hold of the
        connection, for which a fork in this process has to wait. Raises StorageError.
        """
        if writes and self._opening.readonly:
            raise StorageError(f"database {self.path!r} is not written to, as readonly=true says")
        attempt = 0
        while True:
            connection = None
            try:
                connection = self._pool.take()
                answer = work(connection, *given)
            except sqlite3.Error as fault:
                begun = self._part_with(connection, fault)
                raise_for_signal(fault)
                if not is_busy(fault):
                    raise told(fault, self._opening, writing=writes and begun) from fault
                if not _paused(attempt, deadline):
                    raise self._still_busy() from fault
                attempt += 1
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            else:
                self._pool.give(connection)
                return answer

    def close(self) -> None:
        """Close all connections; those in use as soon as their work is done."""
        self._pool.close()

    def _part_with(self, connection: Connection | None, fault: sqlite3.Error) -> bool:
        """Give the connection back, or close it; say whether there was one to work on."""
        if connection is None:
            return False
        if is_busy(fault) and not connection.database.in_transaction:
            self._pool.give(connection)
        else:
            connection.close()
        return True

    def _still_busy(self) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"database {self.path!r} was locked by other writers until the deadline, and nothing "
            f"was done. Raise the timeout, or find who keeps a transaction open"
        )


def _paused(attempt: int, deadline: float) -> bool:
    """Wait a moment; or say at once that there is no time for that.

    The pause is random up to a bound that doubles from 0.25 ms to 16 ms: a write takes a tenth of
    that, but some wait for a disk.
    """
    seconds = backoff(attempt, base=0.00025, cap=0.016)
    if monotonic() + seconds > deadline:
        return False
    sleep(seconds)
    return True
