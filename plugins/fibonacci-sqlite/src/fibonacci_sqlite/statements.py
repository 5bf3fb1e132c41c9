"""Every statement that operations use, and the steps on a connection that run them.

The texts are constant, so SQLite parses each once a connection. What asks whether a record is live
takes the time behind its other parameters, and what sets an expiry takes that before them:
milliseconds since 1970 on this machine's clock. The step reads the clock, not the operation, as the
operation may have waited for a lock since.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin.runtime import expires_at_ms, now_ms
from fibonacci_sqlite.connection import Connection

Row = tuple[Any, ...]
"""Parameters of a statement, or a row of its answer."""

READ: Final = "SELECT value, expires_ms FROM fibonacci_records WHERE space = ? AND key = ?"

REMAINING: Final = "SELECT expires_ms FROM fibonacci_records WHERE space = ? AND key = ?"

WRITE: Final = """\
INSERT INTO fibonacci_records (expires_ms, value, space, key) VALUES (?, ?, ?, ?)
ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms"""

# A compare-and-set is one statement, and so one atomic step: it has the write lock before it
# reads, or fails as busy.
CREATE: Final = WRITE + " WHERE expires_ms <= ?"

SWAP: Final = """\
UPDATE fibonacci_records SET expires_ms = ?, value = ?
WHERE space = ? AND key = ? AND value = ? AND (expires_ms IS NULL OR expires_ms > ?)"""

SWAP_KEEPING: Final = """\
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

LAST_OF_STEP: Final = """\
SELECT key FROM fibonacci_records WHERE space = ? AND key >= ? ORDER BY key LIMIT 1 OFFSET ?"""

CLEAR: Final = "DELETE FROM fibonacci_records WHERE space = ? AND key >= ? AND key < ?"

SWEEP: Final = """\
DELETE FROM fibonacci_records WHERE rowid IN (
  SELECT rowid FROM fibonacci_records WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?
)"""


def fetch(connection: Connection, question: str, given: Row) -> Row | None:
    """Return the only row, or None."""
    row: Row | None = connection.cursor.execute(question, given).fetchone()
    return row


def fetch_live(connection: Connection, question: str, given: Row, limit: int) -> list[Row]:
    """Return the first rows that are live now."""
    return connection.cursor.execute(question, (*given, now_ms(), limit)).fetchall()


def fetch_each(connection: Connection, question: str, all_given: Sequence[Row]) -> list[Row | None]:
    """Ask for several rows, of one and the same moment."""
    cursor = connection.cursor
    cursor.execute("BEGIN")
    rows = [cursor.execute(question, given).fetchone() for given in all_given]
    cursor.execute("COMMIT")
    return rows


def change(connection: Connection, order: str, given: Row) -> int:
    """Return how many rows were changed."""
    return connection.cursor.execute(order, given).rowcount


def change_live(connection: Connection, order: str, given: Row) -> int:
    """Return how many rows were changed, by whether they are live now."""
    return connection.cursor.execute(order, (*given, now_ms())).rowcount


def write(connection: Connection, order: str, given: Row, ttl_ms: int | None) -> int:
    """Return how many rows were changed; they expire so long after now."""
    return connection.cursor.execute(order, (_expiry(ttl_ms), *given)).rowcount


def write_live(connection: Connection, order: str, given: Row, ttl_ms: int | None) -> int:
    """Do the same, by whether they are live now."""
    return connection.cursor.execute(order, (_expiry(ttl_ms), *given, now_ms())).rowcount


def _expiry(ttl_ms: int | None) -> int | None:
    return None if ttl_ms is None else expires_at_ms(ttl_ms)


def change_each(
    connection: Connection,
    step: Callable[[Connection, str, Row], int],
    order: str,
    all_given: Sequence[Row],
    deadline: float,
) -> int:
    """Change rows in one transaction; return how many were changed.

    Raises BackendUnavailableError at the deadline; nothing is changed then.
    """
    changed = 0
    connection.cursor.execute("BEGIN IMMEDIATE")
    for given in all_given:
        changed += step(connection, order, given)
        if monotonic() > deadline:
            raise BackendUnavailableError(
                "a batch was not written by its deadline, and none of it was: raise the timeout"
            )
    connection.cursor.execute("COMMIT")
    return changed
