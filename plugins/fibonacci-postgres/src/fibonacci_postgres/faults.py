"""What became of a statement, told as an error of ours.

Only the primary line of the server's message is passed on. Its details may quote a row.
"""

from collections.abc import Sequence
from typing import Final

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import no_response_error
from fibonacci_postgres.driver import PGresult, pq

MISSING_TABLE: Final = "42P01"

# Classes and codes of errors that pass, if one waits or connects anew: the statement was rolled
# back. https://www.postgresql.org/docs/current/errcodes-appendix.html
PASSING: Final = (
    "25006",  # read-only transaction: this server is no primary any more
    "40",  # transaction rollback: a deadlock, a serialization failure
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "55P03",  # lock not available: lock_timeout
    "57",  # operator intervention: shutting down, starting up, cancelled, statement_timeout
    "58",  # system error: an I/O error
)

# What nobody can tell: a pooler says so when it loses the server amid a statement, or the server
# of itself.
_UNCERTAIN: Final = ("08", "40003")

_POOLER: Final = "Behind a transaction pooler, add prepare=off to the connection URL"

_HINTS: Final = {
    "26000": _POOLER,
    "42P05": _POOLER,
    "42501": (
        "The role needs SELECT, INSERT, UPDATE and DELETE on the table, USAGE on its schema, and "
        "to make it, CREATE on the schema"
    ),
    "42P01": (
        "Make it with the SQL that `python -m fibonacci_postgres` prints, or let create=on do it"
    ),
    "3F000": "Create the schema first, or name another one in the option table",
    "42703": "A table of this name, made by somebody else? Name another one in the option table",
    "42P10": "A table of this name, made by somebody else? Name another one in the option table",
}


class Answer:
    """The results of a statement that was not done, and what they mean."""

    def __init__(self, results: Sequence[PGresult], *, lost: bool) -> None:
        # A statement that was done, and then cut off before the server said that it was
        # committed, has a result and then a failure, or none: nobody knows.
        failed = next((one for one in results if one.status == pq.ExecStatus.FATAL_ERROR), None)
        certain = failed if not lost or results[:1] == [failed] else None
        self._text = _field(certain, pq.DiagnosticField.MESSAGE_PRIMARY)
        code = _field(certain, pq.DiagnosticField.SQLSTATE)
        self.code = "" if code.startswith(_UNCERTAIN) else code
        """The SQLSTATE, where the server surely rejected it; else ""."""

    def fault(self, where: str, *, maybe_applied: bool) -> StorageError:
        """Return the error to raise; ``maybe_applied`` counts where the server did not say."""
        if self.code:
            return rejected(self.code, self._text, where)
        server = f"PostgreSQL at {where}"
        return no_response_error("the connection broke", server, maybe_applied=maybe_applied)


def _field(result: PGresult | None, field: pq.DiagnosticField) -> str:
    text = result.error_field(field) if result else None
    return text.decode(errors="replace") if text else ""


def rejected(code: str, text: str, where: str) -> StorageError:
    """Return the error for a statement that the server rejected."""
    if code.startswith(PASSING):
        return BackendUnavailableError(
            f"PostgreSQL at {where} did not do it: {text} (SQLSTATE {code})"
        )
    hint = f". {_HINTS[code]}" if code in _HINTS else ""
    return StorageError(f"PostgreSQL at {where} refused it: {text} (SQLSTATE {code}){hint}")
