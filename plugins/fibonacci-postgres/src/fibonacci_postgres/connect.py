"""Opening a connection: each host in turn, and each of its addresses, within one deadline."""

import logging
import os
from random import SystemRandom
from time import monotonic
from typing import Final

import attrs

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, raise_for_signal, share_deadline
from fibonacci_postgres.connection import READ, WRITE, Connection
from fibonacci_postgres.driver import PGconn, enable_sqlstates, pq
from fibonacci_postgres.faults import ConnectionFailure, parse_connection_failure
from fibonacci_postgres.parameters import ConnectionParameters
from fibonacci_postgres.waiting import WaitStrategy

_DEFAULTS: Final = {"fallback_application_name": "fibonacci", "client_encoding": "UTF8"}

_TARGET: Final = "target_session_attrs"
"""libpq's parameter for the kinds of servers that are accepted."""

_STANDBY: Final = "it is a standby, whose data may be older than the primary's"

_STANDBY_ADVICE: Final = (
    f": add the primary to the connection URL, or accept any server with {_TARGET}=any"
)

_IS_IN_RECOVERY: Final = b"SELECT pg_catalog.pg_is_in_recovery()"

_log: Final = logging.getLogger("fibonacci.postgres")


class OptionsRejectedError(StorageError):
    """The server or a pooler rejected the options of the session."""


class _AttemptFailed(Exception):  # noqa: N818 - never leaves this module
    """One attempt failed, with the reason."""

    def __init__(self, failure: ConnectionFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def connect(
    connection: Connection,
    parameters: ConnectionParameters,
    location: str,
    strategy: WaitStrategy,
    deadline: float,
    pooled: bool,
) -> None:
    """Connect to the first server that is accepted.

    ``pooled`` says that a pooler shares its sessions between clients.

    Raises:
        BackendUnavailableError: If no server could be reached.
        OptionsRejectedError: If an attempt without the session's options may succeed.
        StorageError: If another attempt would fail the same way.
    """
    attempts = await _resolve_attempts(parameters, location, strategy, deadline)
    reason = ""
    for number, attempt in enumerate(attempts):
        share = share_deadline(deadline, len(attempts) - number)
        attempt_deadline = min(deadline, _attempt_deadline(attempt, share))
        try:
            await _connect_once(connection, attempt, strategy, attempt_deadline)
            if await _is_unwanted_standby(
                connection, parameters, strategy, attempt_deadline, pooled
            ):
                raise _AttemptFailed(ConnectionFailure(_STANDBY, is_permanent=False))
        except DeadlineExceeded:
            reason = "the connection attempt timed out"
        except _AttemptFailed as error:
            reason = error.failure.message
            if error.failure.is_permanent:
                kind = OptionsRejectedError if error.failure.is_about_options else StorageError
                raise kind(f"can't connect to PostgreSQL at {location}: {reason}") from None
        else:
            return
        if number + 1 < len(attempts):
            _log.debug("skipping %s: %s", _address(attempt), reason)
    raise _unavailable_error(location, reason)


def _unavailable_error(location: str, reason: str) -> BackendUnavailableError:
    advice = _STANDBY_ADVICE if reason == _STANDBY else ""
    return BackendUnavailableError(f"can't connect to PostgreSQL at {location}: {reason}{advice}")


def is_balanced(parameters: ConnectionParameters) -> bool:
    """Return whether each connection goes to a random host."""
    return parameters.get("load_balance_hosts") == "random"


def _address(parameters: ConnectionParameters) -> str:
    """Return the address that an attempt connects to, for a log."""
    host = parameters.get("hostaddr") or parameters.get("host") or "the default host"
    return f"{host}, port {parameters.get('port')}"


async def _connect_once(
    connection: Connection,
    parameters: ConnectionParameters,
    strategy: WaitStrategy,
    deadline: float,
) -> None:
    connection.pgconn = pgconn = pq.PGconn.connect_start(parameters.to_conninfo(_DEFAULTS))
    enable_sqlstates(pgconn)
    while True:
        bad = pgconn.status == pq.ConnStatus.BAD
        status = pq.PollingStatus.FAILED if bad else pgconn.connect_poll()
        if status == pq.PollingStatus.OK:
            connection.on_connected()
            return
        if status == pq.PollingStatus.FAILED:
            # Secrets are masked here: an error that is raised later still refers to this one.
            raise _AttemptFailed(_connection_failure(pgconn, parameters))
        connection.register(pgconn.socket, READ if status == pq.PollingStatus.READING else WRITE)
        # A wait ends at the deadline, too, and libpq would then wait for minutes, without one.
        while not connection.poller.poll(0):
            pending = strategy.wait(connection, deadline)
            if pending is not None:
                await pending


def _connection_failure(pgconn: PGconn, parameters: ConnectionParameters) -> ConnectionFailure:
    message = pgconn.error_message.decode(errors="replace")
    names = (parameters.get("user"), parameters.get("dbname"))
    failure = parse_connection_failure(message, needs_password=pgconn.needs_password, names=names)
    return attrs.evolve(failure, message=parameters.mask_secrets(failure.message))


async def _is_unwanted_standby(
    connection: Connection,
    parameters: ConnectionParameters,
    strategy: WaitStrategy,
    deadline: float,
    pooled: bool,
) -> bool:
    """Return whether the server is a standby, and the user has not said that one is accepted.

    A standby's data may be older than the primary's. Raises DeadlineExceeded, and DriverError if
    libpq can't send the query.
    """
    if _is_target_set(connection.pgconn, parameters):
        return False
    # Servers from 14 on report this as a session begins; a pooler may repeat an old report.
    if not pooled and connection.pgconn.parameter_status(b"in_hot_standby") == b"off":
        return False
    connection.send_script(_IS_IN_RECOVERY)
    await strategy.wait_for_response(connection, deadline)
    result = connection.take_result()
    connection.results = []
    return result is not None and result.get_value(0, 0) == b"t"


def _is_target_set(pgconn: PGconn, parameters: ConnectionParameters) -> bool:
    """Return whether the URL, the environment or a service file sets target_session_attrs."""
    if parameters.has(_TARGET) or os.environ.get("PGTARGETSESSIONATTRS"):
        return True
    if not parameters.get("service"):
        return False
    # Only libpq reads that file. Its "any" can't be distinguished from libpq's own default.
    values = {option.keyword: option.val for option in pgconn.info}
    return values.get(_TARGET.encode()) not in (None, b"any")


async def _resolve_attempts(
    parameters: ConnectionParameters, location: str, strategy: WaitStrategy, deadline: float
) -> list[ConnectionParameters]:
    try:
        return await _conninfo_attempts(parameters, strategy, deadline)
    except DeadlineExceeded as error:
        raise_for_signal(error)
        reason = "timed out"
    except OSError as error:
        raise_for_signal(error)
        reason = str(error.strerror)
    raise BackendUnavailableError(
        f"can't resolve the host name of PostgreSQL at {location}: {reason}"
    )


async def _conninfo_attempts(
    parameters: ConnectionParameters, strategy: WaitStrategy, deadline: float
) -> list[ConnectionParameters]:
    """Return parameters for each address to try: libpq's own attempts have no deadline."""
    attempts: list[ConnectionParameters] = []
    last_error: OSError | None = None
    for host_parameters in _split_hosts(parameters):
        try:
            attempts += await _split_addresses(host_parameters, strategy, deadline)
        except DeadlineExceeded:
            raise
        except OSError as error:
            raise_for_signal(error)
            last_error = error
    if not attempts and last_error:
        raise last_error
    if is_balanced(parameters):
        SystemRandom().shuffle(attempts)
    if parameters.get(_TARGET) == "prefer-standby":
        targets = ("standby", "any")
        return [
            attempt.replace(target_session_attrs=target)
            for target in targets
            for attempt in attempts
        ]
    return attempts


def _split_hosts(parameters: ConnectionParameters) -> list[ConnectionParameters]:
    """Return parameters for each host; they and their ports may come from the environment."""
    if parameters.get("service") and not (parameters.has("host") or parameters.has("hostaddr")):
        return [parameters]  # the service file may name hosts, and only libpq reads it
    lists = {name: parameters.get(name).split(",") for name in ("host", "hostaddr", "port")}
    count = max(map(len, lists.values()))
    for name, values in lists.items():
        if len(values) not in (1, count):
            raise StorageError(f"the connection URL has {count} hosts, but {len(values)} of {name}")
    return [
        parameters.replace(**{name: values[number % len(values)] for name, values in lists.items()})
        for number in range(count)
    ]


async def _split_addresses(
    parameters: ConnectionParameters, strategy: WaitStrategy, deadline: float
) -> list[ConnectionParameters]:
    host = parameters.get("host")
    if parameters.get("hostaddr") or not host or host.startswith(("/", "@")):  # a unix socket
        return [parameters]
    addresses = await strategy.resolve_host(host, deadline)
    return [parameters.replace(hostaddr=address) for address in addresses]


def _attempt_deadline(parameters: ConnectionParameters, share: float) -> float:
    """Return when to try the next address: after connect_timeout, or after a fair share."""
    seconds = parameters.get("connect_timeout")
    return monotonic() + float(seconds) if seconds.isdigit() and int(seconds) else share
