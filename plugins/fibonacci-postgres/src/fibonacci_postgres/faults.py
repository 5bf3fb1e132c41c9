"""Errors of failed statements and failed connection attempts, and whether a retry may succeed.

Only the primary line of a server's message is passed on: its details may quote a row.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import no_response_error
from fibonacci_postgres.driver import PGresult, pq

UNDEFINED_TABLE: Final = "42P01"

# Classes and codes of transient errors: after a wait or on a new connection the statement may
# succeed, and it was rolled back. https://www.postgresql.org/docs/current/errcodes-appendix.html
TRANSIENT: Final = (
    "25006",  # read-only transaction: this server is no longer the primary
    "40",  # transaction rollback: a deadlock, a serialization failure
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "55P03",  # lock not available: lock_timeout
    "57",  # operator intervention: shutting down, starting up, cancelled, statement_timeout
    "58",  # system error: an I/O error
)

# The outcome is unknown: a pooler sends these when it loses the server during a statement, and the
# server itself may send them.
_UNCERTAIN: Final = ("08", "40003")

_POOLER_HINT: Final = "Behind a transaction pooler, add prepare=off to the connection URL"
_FOREIGN_TABLE_HINT: Final = (
    "The table may belong to another program: choose another name with the option 'table'"
)

_HINTS: Final = {
    "26000": _POOLER_HINT,
    "42P05": _POOLER_HINT,
    "42501": (
        "The role needs SELECT, INSERT, UPDATE and DELETE on the table and USAGE on its schema; "
        "to create the table, it also needs CREATE on the schema"
    ),
    "42P01": (
        "Create it with the SQL that `python -m fibonacci_postgres` prints, or set create=on"
    ),
    "3F000": "Create the schema first, or choose another with the option 'table'",
    "42703": _FOREIGN_TABLE_HINT,
    "42P10": _FOREIGN_TABLE_HINT,
}


class FailedStatement:
    """The results of a statement that failed, and the error that they mean."""

    def __init__(self, results: Sequence[PGresult], *, broken: bool) -> None:
        # A statement that was executed, and then cut off before the server confirmed its commit,
        # has a result and then a failure, or no result: its outcome is unknown.
        failed = next((each for each in results if each.status == pq.ExecStatus.FATAL_ERROR), None)
        certain = failed if not broken or results[:1] == [failed] else None
        self._message = _error_field(certain, pq.DiagnosticField.MESSAGE_PRIMARY)
        sqlstate = _error_field(certain, pq.DiagnosticField.SQLSTATE)
        self.sqlstate = "" if sqlstate.startswith(_UNCERTAIN) else sqlstate
        """The SQLSTATE if the server certainly rejected the statement; otherwise ""."""

    def map_error(self, location: str, *, maybe_applied: bool) -> StorageError:
        """Return the error to raise.

        ``maybe_applied`` says whether the statement may have been applied if the server did not
        reject it.
        """
        if self.sqlstate:
            return rejection_error(self.sqlstate, self._message, location)
        server = f"PostgreSQL at {location}"
        return no_response_error("the connection broke", server, maybe_applied=maybe_applied)


def _error_field(result: PGresult | None, field: pq.DiagnosticField) -> str:
    value = result.error_field(field) if result else None
    return value.decode(errors="replace") if value else ""


def rejection_error(sqlstate: str, message: str, location: str) -> StorageError:
    """Return the error for a statement that the server rejected.

    BackendUnavailableError for a transient SQLSTATE, otherwise StorageError.
    """
    reason = f"the statement: {message} (SQLSTATE {sqlstate})"
    if sqlstate.startswith(TRANSIENT):
        return BackendUnavailableError(f"PostgreSQL at {location} temporarily rejected {reason}")
    hint = f". {_HINTS[sqlstate]}" if sqlstate in _HINTS else ""
    return StorageError(f"PostgreSQL at {location} rejected {reason}{hint}")


# A server, or a pooler, refuses a connection with a SQLSTATE; its message may be in any language,
# and may quote names. libpq's verbose text: `... failed: FATAL:  28P01: password ...`.
_SERVER_ERROR: Final = re.compile(
    r"(?:^|: )[^\s:]+:  (?P<sqlstate>[0-9A-Z]{5}): (?P<message>.*)", re.MULTILINE
)
_ATTEMPT_PREFIX: Final = re.compile(r"connection to server .*? failed: ")

# The SQLSTATEs that poolers use for all of their errors: PgBouncer; Supavisor or Neon; pgcat.
_POOLER_SQLSTATES: Final = ("08P01", "XX000", "58000")
_TRANSIENT_POOLER_MESSAGE: Final = re.compile(
    r"(connections?|clients?) (allowed|exceeded|reached)|too many|exhaust|no memory|out of memory"
    r"|connect to|get connection|connect failed|database not available|has been failing"
    r"|try again|temporar|timed?[- ]?out|crashed|exited|DNS|control plane"
    r"|shut(ting)? ?down|servers? ?down|closing|paused|suspend",
    re.IGNORECASE,
)

# Matched before the above: such a message may contain a parameter's name, as statement_timeout.
_OPTIONS_MESSAGE: Final = re.compile(
    r"(startup|configuration) (parameter|option)|command-line|\boptions\b", re.IGNORECASE
)

# Messages of libpq itself that another attempt would repeat.
_PERMANENT_MESSAGES: Final = (
    "authentication failed",
    "authentication method",
    "no password supplied",
    "does not exist",
    "permission denied",
    "invalid",
    "certificate",
    "private key",
    "but SSL was required",
)
_TRANSIENT_MESSAGES: Final = ("No such file or directory", "Connection refused", "starting up")


@attrs.frozen
class ConnectionFailure:
    """Why a connection attempt failed, and whether another attempt would fail the same way."""

    message: str
    is_permanent: bool
    is_about_options: bool = False
    """Whether the session's options were rejected: poolers accept few of them, or none."""


def parse_connection_failure(
    message: str, *, needs_password: bool, names: Iterable[str] = ()
) -> ConnectionFailure:
    """Read libpq's message about a failed connection attempt, with SQLSTATEs if it has any.

    ``names`` are the user's and the database's: they are ignored where a server quotes them.
    """
    errors = list(_SERVER_ERROR.finditer(message))
    if not errors:
        own_message = _ATTEMPT_PREFIX.sub("", message)
        return ConnectionFailure(message, needs_password or _is_permanent_message(own_message))
    # There are several if libpq itself tried again without TLS.
    is_permanent = all(
        _is_permanent_error(error["sqlstate"], _remove_names(names, error["message"]))
        for error in errors
    )
    messages = (f"{error['message']} (SQLSTATE {error['sqlstate']})" for error in errors)
    text = "; ".join(dict.fromkeys(messages))
    return ConnectionFailure(text, is_permanent, bool(_OPTIONS_MESSAGE.search(text)))


def _is_permanent_message(message: str) -> bool:
    is_transient = any(text in message for text in _TRANSIENT_MESSAGES)
    return not is_transient and any(text in message for text in _PERMANENT_MESSAGES)


def _is_permanent_error(sqlstate: str, message: str) -> bool:
    if sqlstate in _POOLER_SQLSTATES:
        is_about_options = bool(_OPTIONS_MESSAGE.search(message))
        return is_about_options or not _TRANSIENT_POOLER_MESSAGE.search(message)
    return not sqlstate.startswith(("08", "55006", *TRANSIENT))


def _remove_names(names: Iterable[str], message: str) -> str:
    """Remove names that are quoted, or that end the message, as in ``no such user: me``."""
    for name in filter(None, names):
        quoted = rf"(?<=[\"'`»«“\u201e])(?:{re.escape(name)})(?=[\"'`»«”“])"
        message = re.sub(quoted, "", message)
        message = re.sub(rf"(?<=: ){re.escape(name)}$", "", message)
    return message
