"""The SQL statements of all operations, and the functions that execute them on a connection.

The statements are constant, so SQLite parses each once a connection. One that is only about
unexpired records takes the time as its last parameter, and one that sets an expiry takes that as
its first: milliseconds since 1970 on this machine's clock. These functions read the clock, not
their callers, which may have waited for a lock since.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin.runtime import expires_at_ms, now_ms
from fibonacci_sqlite.connection import Connection

Row = tuple[Any, ...]
"""Parameters of a statement, or a row of its result."""

READ: Final = "SELECT value, expires_ms FROM fibonacci_records WHERE space = ? AND key = ?"

REMAINING: Final = "SELECT expires_ms FROM fibonacci_records WHERE space = ? AND key = ?"

WRITE: Final = """\
INSERT INTO fibonacci_records (expires_ms, value, space, key) VALUES (?, ?, ?, ?)
ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms"""

# A compare-and-set is one statement, and therefore atomic: it has the write lock before it reads,
# or fails as busy.
CREATE: Final = WRITE + " WHERE expires_ms <= ?"

COMPARE_AND_SET: Final = """\
UPDATE fibonacci_records SET expires_ms = ?, value = ?
WHERE space = ? AND key = ? AND value = ? AND (expires_ms IS NULL OR expires_ms > ?)"""

COMPARE_AND_SET_KEEP_TTL: Final = """\
UPDATE fibonacci_records SET value = ?
WHERE space = ? AND key = ? AND value = ? AND (expires_ms IS NULL OR expires_ms > ?)"""

TOUCH: Final = """\
UPDATE fibonacci_records SET expires_ms = ?
WHERE space = ? AND key = ? AND (expires_ms IS NULL OR expires_ms > ?)"""

REMOVE: Final = """\
DELETE FROM fibonacci_records
WHERE space = ? AND key = ? AND (expires_ms IS NULL OR expires_ms > ?)"""

SCAN: Final = """\
SELECT key FROM fibonacci_records
WHERE space = ? AND key >= ? AND key < ? AND (expires_ms IS NULL OR expires_ms > ?)
ORDER BY key LIMIT ?"""

LAST_OF_CLEAR_STEP: Final = """\
SELECT key FROM fibonacci_records WHERE space = ? AND key >= ? ORDER BY key LIMIT 1 OFFSET ?"""

CLEAR: Final = "DELETE FROM fibonacci_records WHERE space = ? AND key >= ? AND key < ?"

SWEEP: Final = """\
DELETE FROM fibonacci_records WHERE rowid IN (
  SELECT rowid FROM fibonacci_records WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?
)"""


def fetch_one(connection: Connection, statement: str, parameters: Row) -> Row | None:
    """Return the only row, or None."""
    row: Row | None = connection.cursor.execute(statement, parameters).fetchone()
    return row


def fetch_unexpired(
    connection: Connection, statement: str, parameters: Row, limit: int
) -> list[Row]:
    """Return the first rows that are unexpired now."""
    return connection.cursor.execute(statement, (*parameters, now_ms(), limit)).fetchall()


def fetch_each(
    connection: Connection, statement: str, parameter_sets: Sequence[Row]
) -> list[Row | None]:
    """Return one row or None for each set of parameters, all from one snapshot."""
    cursor = connection.cursor
    cursor.execute("BEGIN")
    rows = [cursor.execute(statement, parameters).fetchone() for parameters in parameter_sets]
    cursor.execute("COMMIT")
    return rows


def execute(connection: Connection, statement: str, parameters: Row) -> int:
    """Execute a statement; return how many rows it changed."""
    return connection.cursor.execute(statement, parameters).rowcount


def execute_unexpired(connection: Connection, statement: str, parameters: Row) -> int:
    """Execute a statement about unexpired rows; return how many it changed."""
    return connection.cursor.execute(statement, (*parameters, now_ms())).rowcount


def write(connection: Connection, statement: str, parameters: Row, ttl_ms: int | None) -> int:
    """Write rows that expire ``ttl_ms`` from now; return how many."""
    return connection.cursor.execute(statement, (_expiry(ttl_ms), *parameters)).rowcount


def write_unexpired(
    connection: Connection, statement: str, parameters: Row, ttl_ms: int | None
) -> int:
    """Write unexpired rows only; return how many."""
    return connection.cursor.execute(statement, (_expiry(ttl_ms), *parameters, now_ms())).rowcount


def _expiry(ttl_ms: int | None) -> int | None:
    return None if ttl_ms is None else expires_at_ms(ttl_ms)


def execute_each(
    connection: Connection,
    step: Callable[[Connection, str, Row], int],
    statement: str,
    parameter_sets: Sequence[Row],
    deadline: float,
) -> int:
    """Call ``step`` for each set of parameters in one transaction; return how many rows changed.

    Raises BackendUnavailableError after the deadline; no row is changed then.
    """
    changed = 0
    connection.cursor.execute("BEGIN IMMEDIATE")
    for parameters in parameter_sets:
        changed += step(connection, statement, parameters)
        if monotonic() > deadline:
            raise BackendUnavailableError(
                "a batch was not complete by its deadline, and none of it was written: raise the "
                "timeout"
            )
    connection.cursor.execute("COMMIT")
    return changed
