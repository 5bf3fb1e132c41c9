"""Errors of Redis, redis-py, TLS and sockets, mapped to errors of Fibonacci.

Redis's error texts may quote arguments, so messages contain only their code, or our own text for
errors that are known (https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from ssl import SSLCertVerificationError, SSLError
from typing import Final

from hiredis import HiredisError
from redis.exceptions import RedisError

from fibonacci.errors import (
    BackendUnavailableError,
    CorruptRecordError,
    StorageError,
)
from fibonacci.plugin.runtime import DeadlineExceeded, no_response_error, verification_failure
from fibonacci_redis.endpoint import CredentialProviderError, Endpoint
from fibonacci_redis.protocol import NotSentError, ReplyError, ReplyLostError, Request

EXCHANGE_ERRORS: Final = (OSError, HiredisError)
"""Raised by a socket, including TLS and our deadlines, and by a reply with an invalid format."""

CONNECT_ERRORS: Final = (
    *EXCHANGE_ERRORS,
    RedisError,
    ReplyError,
    CredentialProviderError,
    ValueError,
)
"""Raised while connecting; ValueError comes from ssl and from host names."""

TRANSIENT: Final = {
    "LOADING": "is loading its data",
    "MASTERDOWN": "is a replica that lost its primary",
    "CLUSTERDOWN": "is in a cluster that is down",
    "TRYAGAIN": "is moving these keys to another node",
    "READONLY": "is a replica: it refuses writes, and reads from it could be stale",
    "BUSY": "is busy with a script",
    "NOREPLICAS": "has too few replicas to accept writes",
    "MISCONF": "can't save its data to disk, and refuses writes",
    "OOM": "is out of memory (maxmemory), and refuses writes",
    "UNBLOCKED": "changed its role",
    "NOAUTH": "requires this connection to authenticate again",
    "MOVED": "moved these keys to another node",
    "ASK": "is moving these keys to another node",
}
"""Errors that pass by themselves: nothing was applied."""

RECONNECT: Final = frozenset({"READONLY", "MASTERDOWN", "LOADING", "NOAUTH", "UNBLOCKED"})
"""Errors after which we reconnect: the address may lead to another server now."""

PERMANENT: Final = {
    "WRONGPASS": "rejected the user name or password",
    "NOAUTH": "requires a password: write redis://:password@host, or redis://user:password@host",
    "DENIED": "is in protected mode: set a password, or bind it to the loopback address",
    "NOPERM": "denied this user a command or a key: see the ACL rules in the README",
    "MOVED": "is a node of a cluster: write redis+cluster://host:port",
}
"""Errors that remain until somebody changes a setting."""


BY_TEXT: Final = {
    "invalid password": PERMANENT["WRONGPASS"],
    "DB index is out of range": "has no database of the number in the connection URL",
    "without any password configured": "has no password set: remove it from the connection URL",
    "cluster support disabled": "is not in a cluster: write redis://host:port/db",
    "'pexpire' command": "is older than Redis 7.0, the oldest version that is supported",
    "compiling script": "is older than Redis 7.0, the oldest version that is supported",
}
"""Errors with the general code ERR, recognized by their text."""

TOO_MANY_CLIENTS: Final = ("max number of clients", "max concurrent connections")
"""The texts of servers that accept no more connections."""


def map_reply_error(error: ReplyError, endpoint: Endpoint, *, is_cluster: bool) -> StorageError:
    """Return what an error reply means: nothing was applied."""
    server, code = str(endpoint), error.code
    # A client with credentials, or with a map of the cluster, only has to retry.
    is_transient = (code == "NOAUTH" and endpoint.has_credentials) or (
        code == "MOVED" and is_cluster
    )
    if code in PERMANENT and not is_transient:
        return StorageError(f"{server} {PERMANENT[code]}")
    if code in TRANSIENT:
        return BackendUnavailableError(f"{server} {TRANSIENT[code]}")
    if code == "WRONGTYPE":
        return CorruptRecordError(
            f"{server} has a key of another type at the address of a record: "
            f"another application uses this key prefix"
        )
    for text, meaning in BY_TEXT.items():
        if text in str(error):
            return StorageError(f"{server} {meaning}")
    if any(text in str(error) for text in TOO_MANY_CLIENTS):
        return BackendUnavailableError(f"{server} has too many clients (maxclients)")
    return StorageError(f"{server} returned an error with the code {code!r}")


def map_exchange_error(
    error: ReplyLostError | NotSentError, server: str, request: Request
) -> StorageError:
    """Return what it means that an exchange failed or timed out."""
    what = "timed out" if is_timeout(error) else f"the connection broke ({reason(error)})"
    not_sent = request.atomic and isinstance(error, NotSentError)
    return no_response_error(what, server, maybe_applied=request.writes and not not_sent)


def is_timeout(error: ReplyLostError | NotSentError) -> bool:
    """Return whether our own deadline ended an exchange."""
    return isinstance(error.__cause__, DeadlineExceeded)


def deadline_error(endpoint: Endpoint) -> StorageError:
    """Return what it means that the deadline passed before anything was sent."""
    return BackendUnavailableError(f"timed out before the request was sent to {endpoint}")


def reason(error: BaseException) -> str:
    """Return the reason of an error, without any secret or value."""
    cause = error
    if isinstance(error, ReplyLostError | NotSentError) and error.__cause__:
        cause = error.__cause__
    if isinstance(cause, TimeoutError):
        return "timed out"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause) or type(cause).__name__
    return str(cause) if isinstance(cause, CredentialProviderError) else type(cause).__name__


def map_connect_error(error: Exception, endpoint: Endpoint) -> StorageError:
    """Return what it means that no connection could be established."""
    if isinstance(error, ReplyError):
        if error.code == "NOAUTH" and endpoint.has_credentials:  # it has just sent them
            return StorageError(f"{endpoint} {PERMANENT['WRONGPASS']}")
        return map_reply_error(error, endpoint, is_cluster=False)
    cause = _find_cause(error)
    mapped = _map_cause(cause, endpoint)
    if isinstance(cause, OSError):  # its text is the operating system's
        # Not the errors behind it, nor its frames: redis-py's hold the password that it sends.
        cause.__cause__ = cause.__context__ = None
        mapped.__cause__ = cause.with_traceback(None)
    return mapped


def _map_cause(cause: BaseException, endpoint: Endpoint) -> StorageError:
    if _is_certificate_error(cause) and endpoint.tls is not None:
        return StorageError(_certificate_message(cause, endpoint))
    return BackendUnavailableError(f"can't connect to {endpoint}: {reason(cause)}")


def _certificate_message(cause: BaseException, endpoint: Endpoint) -> str:
    if isinstance(cause, SSLCertVerificationError):
        rule = verification_failure(cause)
        option = "ssl_exclude_verify_flags=VERIFY_X509_STRICT" if "STRICT" in rule else ""
        hint = f"{option} disables this check" if option else "See the option ssl_ca_certs"
        return f"TLS certificate verification failed for {endpoint}: {rule}. {hint}"
    return (
        f"TLS certificates were rejected by {endpoint} or by this client "
        f"({type(cause).__name__}): see the options ssl_ca_certs, ssl_certfile and ssl_keyfile"
    )


def _find_cause(error: BaseException) -> BaseException:
    """Return the operating system's error that redis-py's was raised from: its text says more."""
    inner = error.__cause__ or error.__context__
    while isinstance(error, RedisError) and inner is not None:
        error, inner = inner, inner.__cause__ or inner.__context__
    return error


def _is_certificate_error(error: BaseException) -> bool:
    if isinstance(error, SSLError):
        text = str(error.reason)
        return isinstance(error, SSLCertVerificationError) or "CERT" in text or "_CA" in text
    return isinstance(error, FileNotFoundError)
