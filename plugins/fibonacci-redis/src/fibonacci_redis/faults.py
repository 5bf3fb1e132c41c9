"""What went wrong, in the words of our own errors.

Redis's error texts may quote arguments, so only their code, and the text of errors that are known
to quote nothing, is passed on (https://redis.io/docs/latest/develop/reference/protocol-spec/).
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
from fibonacci_redis.endpoint import Endpoint, ProviderFault
from fibonacci_redis.wire import Lost, ReplyError, Request, Unsent

EXCHANGING: Final = (OSError, HiredisError)
"""What a socket raises, TLS and our deadlines included, and what a reply that is none raises."""

CONNECTING: Final = (*EXCHANGING, RedisError, ReplyError, ProviderFault, ValueError)
"""What comes of making a connection besides; ValueError is what ssl and names of hosts raise."""

NOT_NOW: Final = {
    "LOADING": "is loading its data",
    "MASTERDOWN": "is a replica that lost its primary",
    "CLUSTERDOWN": "is in a cluster that is down",
    "TRYAGAIN": "is moving these keys to another node",
    "READONLY": "is a replica, and takes no writes; nor is it read, as it may lag behind",
    "BUSY": "is busy with a script",
    "NOREPLICAS": "has not enough replicas to take writes",
    "MISCONF": "can't save its data to disk, and takes no writes",
    "OOM": "is out of memory (maxmemory), and takes no writes",
    "UNBLOCKED": "changed its role",
    "NOAUTH": "wants this connection to authenticate again",
    "MOVED": "moved these keys to another node",
    "ASK": "is moving these keys to another node",
}
"""Refusals that pass: nothing was applied."""

STALE: Final = frozenset({"READONLY", "MASTERDOWN", "LOADING", "NOAUTH", "UNBLOCKED"})
"""Refusals after which it is better to connect anew: the address may lead to another server now."""

NOT_EVER: Final = {
    "WRONGPASS": "refuses this user name and password",
    "NOAUTH": "asks for a password: write redis://:password@host, or redis://user:password@host",
    "DENIED": "is in protected mode: give it a password, or have it listen to this machine alone",
    "NOPERM": "refuses a command or a key to this user: see the ACL rules in the README",
    "MOVED": "is a node of a cluster: write redis+cluster://host:port",
}
"""Refusals that stay until somebody changes a setting."""


TOLD_APART: Final = {
    "invalid password": NOT_EVER["WRONGPASS"],
    "DB index is out of range": "has no database of the number in the connection URL",
    "without any password configured": "wants no password: leave it out of the connection URL",
    "cluster support disabled": "is not in a cluster: write redis://host:port/db",
    "'pexpire' command": "is older than Redis 7.0, the oldest that is supported",
    "compiling script": "is older than Redis 7.0, the oldest that is supported",
}
"""Errors of the general kind that are known by their words."""

FULL: Final = ("max number of clients", "max concurrent connections")
"""How servers word it that they take no more connections."""


def refused(error: ReplyError, endpoint: Endpoint, *, clustered: bool) -> StorageError:
    """Return what an error reply means: nothing was applied."""
    where, code = str(endpoint), error.code
    # Who showed credentials, or knows the cluster, has only to do it again.
    passes = (code == "NOAUTH" and endpoint.secured) or (code == "MOVED" and clustered)
    if code in NOT_EVER and not passes:
        return StorageError(f"{where} {NOT_EVER[code]}")
    if code in NOT_NOW:
        return BackendUnavailableError(f"{where} {NOT_NOW[code]}")
    if code == "WRONGTYPE":
        return CorruptRecordError(
            f"{where} has a key of another type where a record of ours should be: "
            f"somebody else uses this key prefix"
        )
    for words, meaning in TOLD_APART.items():
        if words in str(error):
            return StorageError(f"{where} {meaning}")
    if any(words in str(error) for words in FULL):
        return BackendUnavailableError(f"{where} has as many clients as it takes (maxclients)")
    return StorageError(f"{where} answered with an error of the kind {code!r}")


def lost(fault: Lost | Unsent, where: str, request: Request) -> StorageError:
    """Return what a broken or overdue exchange means."""
    why = "the time was up" if is_late(fault) else f"the connection broke ({reason(fault)})"
    unsent = request.atomic and isinstance(fault, Unsent)
    return no_response_error(why, where, maybe_applied=request.writes and not unsent)


def is_late(fault: Lost | Unsent) -> bool:
    """Say whether our own deadline ended an exchange."""
    return isinstance(fault.__cause__, DeadlineExceeded)


def out_of_time(endpoint: Endpoint) -> StorageError:
    """Return what it means that the deadline passed before anything was sent."""
    return BackendUnavailableError(f"{endpoint} was not asked: out of time")


def reason(fault: BaseException) -> str:
    """Return why, in words that hold no secret and no value."""
    cause = fault.__cause__ if isinstance(fault, Lost | Unsent) and fault.__cause__ else fault
    if isinstance(cause, TimeoutError):
        return "out of time"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause) or type(cause).__name__
    return str(cause) if isinstance(cause, ProviderFault) else type(cause).__name__


def unreachable(fault: Exception, endpoint: Endpoint) -> StorageError:
    """Return what it means that no connection could be made."""
    if isinstance(fault, ReplyError):
        if fault.code == "NOAUTH" and endpoint.secured:  # it was shown credentials just now
            return StorageError(f"{endpoint} {NOT_EVER['WRONGPASS']}")
        return refused(fault, endpoint, clustered=False)
    cause = _system_fault(fault)
    told = _unreached(cause, endpoint)
    if isinstance(cause, OSError):  # its text is the system's own
        told.__cause__ = cause
    return told


def _unreached(cause: BaseException, endpoint: Endpoint) -> StorageError:
    if _is_about_certificates(cause) and endpoint.tls is not None:
        return StorageError(_distrust(cause, endpoint))
    return BackendUnavailableError(f"{endpoint} can't be reached: {reason(cause)}")


def _distrust(cause: BaseException, endpoint: Endpoint) -> str:
    if isinstance(cause, SSLCertVerificationError):
        rule = verification_failure(cause)
        option = "ssl_exclude_verify_flags=VERIFY_X509_STRICT" if "STRICT" in rule else ""
        way_out = f"{option} leaves the rule out" if option else "See the option ssl_ca_certs"
        return f"{endpoint} shows certificates that do not hold: {rule}. {way_out}"
    return (
        f"{endpoint} and this client do not accept each other's certificates "
        f"({type(cause).__name__}): see the options ssl_ca_certs, ssl_certfile and ssl_keyfile"
    )


def _system_fault(fault: BaseException) -> BaseException:
    """The operating system's own error behind redis-py's, whose text says less."""
    inner = fault.__cause__ or fault.__context__
    while isinstance(fault, RedisError) and inner is not None:
        fault, inner = inner, inner.__cause__ or inner.__context__
    return fault


def _is_about_certificates(fault: BaseException) -> bool:
    if isinstance(fault, SSLError):
        told = str(fault.reason)
        return isinstance(fault, SSLCertVerificationError) or "CERT" in told or "_CA" in told
    return isinstance(fault, FileNotFoundError)
