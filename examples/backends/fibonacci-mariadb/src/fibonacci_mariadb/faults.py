"""What the drivers raise, as errors of ours.

Their texts are not passed on: a server's may quote values. The codes are in
https://mariadb.com/kb/en/mariadb-error-codes/.
"""

import ssl
import struct
from collections.abc import Iterator
from typing import Final

from pymysql.constants import CR, ER
from pymysql.err import MySQLError

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import no_response_error, verification_failure

FAULTS: Final = (MySQLError, OSError, AssertionError, LookupError, ValueError, struct.error)
"""What a request may raise. The last four are PyMySQL's for bytes that break the protocol."""

LOGIN_FAULTS: Final = (*FAULTS, AttributeError, RuntimeError)
"""What a connection may raise that is being opened. The last two mean that the server asks for a
kind of login that the driver lacks, or for which another package has to be installed."""

_CLIENT_CODES: Final = range(2000, 3000)
"""The drivers' own codes: the server has said nothing."""

_TRANSIENT: Final = {
    ER.CON_COUNT_ERROR: "it has too many connections",
    ER.OUT_OF_RESOURCES: "it is out of memory",
    ER.OUTOFMEMORY: "it is out of memory",
    ER.DISK_FULL: "its disk is full",
    ER.SERVER_SHUTDOWN: "it is shutting down",
    ER.LOCK_WAIT_TIMEOUT: "the record was locked for too long",
    ER.LOCK_DEADLOCK: "it was rolled back because of a deadlock",
    ER.TOO_MANY_USER_CONNECTIONS: "the user has too many connections",
    ER.USER_LIMIT_REACHED: "the user has reached a limit",
    ER.QUERY_INTERRUPTED: "it was interrupted",
    1020: "the record was changed meanwhile",
    1135: "it can't start a thread",
    1927: "the connection was killed",
    1969: "its time was up",
}
"""Codes with which a statement was rolled back and may succeed later: what is the matter."""

_PERMANENT: Final = {
    ER.DBACCESS_DENIED_ERROR: "the user has no permission for the database, or there is none",
    ER.ACCESS_DENIED_ERROR: "the user or the password in the connection URL is wrong",
    1698: "the user or the password in the connection URL is wrong",
    ER.BAD_DB_ERROR: "there is no such database: create it, or fix the connection URL",
    ER.HOST_NOT_PRIVILEGED: "it accepts no connections from this host",
    ER.TABLEACCESS_DENIED_ERROR: (
        "the user needs SELECT, INSERT, UPDATE, DELETE and, to create the table, CREATE"
    ),
    ER.OPTION_PREVENTS_STATEMENT: "it is read-only: connect to the primary",
    ER.TOO_LONG_KEY: "its innodb_page_size is less than 16k, too little for the table's keys",
}
"""Hints for codes of errors that another attempt would repeat, as all others do."""


def error_code(error: BaseException) -> int | None:
    """Return the code of the server's error; None if the server has said nothing."""
    code = error.args[0] if isinstance(error, MySQLError) and error.args else None
    return code if isinstance(code, int) and code and code not in _CLIENT_CODES else None


def statement_error(error: BaseException, server: str, *, maybe_applied: bool) -> StorageError:
    """Return the error of a statement."""
    if code := error_code(error):
        return _server_error(code, server)
    timed_out = any(isinstance(link, TimeoutError) for link in _chain(error))
    reason = "the request timed out" if timed_out else "the connection broke"
    return no_response_error(reason, server, maybe_applied=maybe_applied)


def connection_error(error: BaseException, server: str) -> StorageError:
    """Return the error of a connection that could not be opened."""
    if code := error_code(error):
        return _server_error(code, server)
    if reason := _tls_problem(error):
        return StorageError(f"{server} can't be trusted: {reason}. Check the option tls_ca")
    kind = type(_chain_end(error)).__name__
    if isinstance(error, AttributeError | RuntimeError):
        return StorageError(f"{server} asks for a login that the driver does not support ({kind})")
    return BackendUnavailableError(
        f"{server} is unreachable ({kind}). Is it up, and is the address in the connection URL "
        f"right?"
    )


def is_permanent(error: BaseException) -> bool:
    """Return whether a connection to another address of the server would fail, too."""
    return not isinstance(connection_error(error, ""), BackendUnavailableError)


def _server_error(code: int, server: str) -> StorageError:
    if code in _TRANSIENT:
        return BackendUnavailableError(
            f"{server} refuses the request for now: {_TRANSIENT[code]} (error {code})"
        )
    hint = f": {_PERMANENT[code]}" if code in _PERMANENT else ""
    return StorageError(f"{server} refuses the request with error {code}{hint}")


def _tls_problem(error: BaseException) -> str | None:
    for link in _chain(error):
        if isinstance(link, ssl.SSLCertVerificationError):
            return verification_failure(link)
        if isinstance(link, MySQLError) and link.args[:1] == (CR.CR_SSL_CONNECTION_ERROR,):
            return "it offers no TLS"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _chain_end(error: BaseException) -> BaseException:
    return list(_chain(error))[-1]
