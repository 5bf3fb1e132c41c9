"""Making a connection: each host in turn, and each of its addresses, within one deadline."""

import random
from collections.abc import Mapping
from time import monotonic
from typing import Final

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci_postgres.driver import ambient, conninfo, pq, secret_names
from fibonacci_postgres.link import READ, WRITE, Link
from fibonacci_postgres.voices import Voice

Parameters = Mapping[str, str]

# What a server or libpq says when another try says the same. There is no SQLSTATE for a connection
# that was refused; a server that speaks another language is asked again until the deadline.
_PERMANENT: Final = (
    "authentication failed",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects connection",
    "does not exist",
    "is not permitted to log in",
    "permission denied",
    "no password supplied",
    "invalid",
    "certificate",
    "but SSL was required",
    "unsupported startup parameter",
    "unrecognized configuration parameter",
)
_PASSING: Final = ("No such file or directory", "Connection refused", "starting up")

_DEFAULTS: Final = {"fallback_application_name": "fibonacci", "client_encoding": "UTF8"}


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """One attempt failed, with what libpq said of it."""


async def dial(
    link: Link, parameters: Parameters, where: str, voice: Voice, deadline: float
) -> None:
    """Connect; BackendUnavailableError, or StorageError where trying again would not help."""
    try:
        attempts = await _attempts(parameters, voice, deadline)
    except TimeoutError:
        raise BackendUnavailableError(
            f"can't look up the address of PostgreSQL at {where} in time"
        ) from None
    except OSError as fault:
        raise BackendUnavailableError(
            f"can't look up the address of PostgreSQL at {where}: {fault.strerror}"
        ) from None
    reason = ""
    for number, attempt in enumerate(attempts):
        share = (deadline - monotonic()) / (len(attempts) - number)
        try:
            await _attempt(link, attempt, voice, min(deadline, _limit(attempt, share)))
        except TimeoutError:
            reason = "it did not answer in time"
        except _Refused as refused:
            reason = str(refused)
            if _permanent(link, reason):
                raise StorageError(f"can't connect to PostgreSQL at {where}: {reason}") from None
        else:
            return
    raise BackendUnavailableError(f"can't connect to PostgreSQL at {where}: {reason}")


async def _attempt(link: Link, parameters: Parameters, voice: Voice, deadline: float) -> None:
    link.pgconn = pgconn = pq.PGconn.connect_start(conninfo({**_DEFAULTS, **parameters}))
    while True:
        bad = pgconn.status == pq.ConnStatus.BAD
        state = pq.PollingStatus.FAILED if bad else pgconn.connect_poll()
        if state == pq.PollingStatus.OK:
            link.attach()
            return
        if state == pq.PollingStatus.FAILED:
            # Masked at once: an error that is raised in place of this one still refers to it.
            raise _Refused(_masked(pgconn.error_message.decode(errors="replace"), parameters))
        link.watch(pgconn.socket, READ if state == pq.PollingStatus.READING else WRITE)
        waiting = voice.wait(link, deadline)
        if waiting is not None:
            await waiting


async def _attempts(parameters: Parameters, voice: Voice, deadline: float) -> list[Parameters]:
    """One set of parameters for each address: libpq's own trying has no deadline."""
    attempts: list[Parameters] = []
    fault: OSError | None = None
    for one in _hosts(parameters):
        try:
            attempts += await _resolved(one, voice, deadline)
        except TimeoutError:
            raise
        except OSError as failed:
            fault = failed
    if not attempts and fault:
        raise fault
    if parameters.get("load_balance_hosts") == "random":
        random.shuffle(attempts)
    if parameters.get("target_session_attrs") == "prefer-standby":
        standby, anyone = {"target_session_attrs": "standby"}, {"target_session_attrs": "any"}
        return [{**one, **wanted} for wanted in (standby, anyone) for one in attempts]
    return attempts


def _hosts(parameters: Parameters) -> list[Parameters]:
    lists = {
        name: (parameters.get(name) or ambient(name)).split(",")
        for name in ("host", "hostaddr", "port")
    }
    count = max(map(len, lists.values()))
    for name, values in lists.items():
        if len(values) not in (1, count):
            raise StorageError(f"the connection URL has {count} hosts, and {len(values)} of {name}")
    return [
        {
            **parameters,
            **{name: values[number % len(values)] for name, values in lists.items()},
        }
        for number in range(count)
    ]


async def _resolved(parameters: Parameters, voice: Voice, deadline: float) -> list[Parameters]:
    host = parameters["host"]
    if parameters["hostaddr"] or not host or host.startswith(("/", "@")):  # "/", "@": a unix socket
        return [parameters]
    found = await voice.resolve(host, deadline)
    return [{**parameters, "hostaddr": address} for address in found]


def _limit(parameters: Parameters, share: float) -> float:
    """When to give up on one address: by the user's connect_timeout, or after a fair share."""
    seconds = parameters.get("connect_timeout") or ambient("connect_timeout")
    return monotonic() + (float(seconds) if seconds.isdigit() and int(seconds) else share)


def _permanent(link: Link, reason: str) -> bool:
    if any(text in reason for text in _PASSING):
        return False
    return link.pgconn.needs_password or any(text in reason for text in _PERMANENT)


def _masked(text: str, parameters: Parameters) -> str:
    """What libpq said, on one line, and without the secrets that it was given."""
    for name in secret_names():
        secret = parameters.get(name) or ambient(name)
        if secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())
