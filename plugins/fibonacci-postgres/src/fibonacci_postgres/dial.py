"""Making a connection: each host in turn, and each of its addresses, within one deadline."""

import random
from time import monotonic
from typing import Final

import attrs

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, raise_for_signal, share_deadline
from fibonacci_postgres.driver import PGconn, pq, say_sqlstates
from fibonacci_postgres.link import READ, WRITE, Link
from fibonacci_postgres.parameters import ConnectionParameters
from fibonacci_postgres.primary import STANDBY, is_unwanted
from fibonacci_postgres.refusals import Refusal, read_refusal
from fibonacci_postgres.voices import Voice

_DEFAULTS: Final = {"fallback_application_name": "fibonacci", "client_encoding": "UTF8"}


class OptionsRefusedError(StorageError):
    """No connection was made as the options of the session were refused."""


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """One attempt failed, with what was said of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


async def dial(
    link: Link,
    parameters: ConnectionParameters,
    where: str,
    voice: Voice,
    deadline: float,
    shared: bool,
) -> None:
    """Connect, to the first host that will do; ``shared`` says that sessions are a pooler's.

    Raises BackendUnavailableError, or StorageError where trying again would not help;
    OptionsRefusedError where it may help to leave out the options.
    """
    attempts = await _looked_up(parameters, where, voice, deadline)
    reason = ""
    for number, attempt in enumerate(attempts):
        share = share_deadline(deadline, len(attempts) - number)
        limit = min(deadline, _limit(attempt, share))
        try:
            await _attempt(link, attempt, voice, limit)
            if await is_unwanted(link, parameters, voice, limit, shared):
                raise _Refused(Refusal(STANDBY, lasting=False))
        except DeadlineExceeded:
            reason = "it did not answer in time"
        except _Refused as refused:
            reason = refused.refusal.text
            if refused.refusal.lasting:
                error = OptionsRefusedError if refused.refusal.of_options else StorageError
                raise error(f"can't connect to PostgreSQL at {where}: {reason}") from None
        else:
            return
    raise BackendUnavailableError(f"can't connect to PostgreSQL at {where}: {reason}")


async def _attempt(
    link: Link, parameters: ConnectionParameters, voice: Voice, deadline: float
) -> None:
    link.pgconn = pgconn = pq.PGconn.connect_start(parameters.conninfo(_DEFAULTS))
    say_sqlstates(pgconn)
    while True:
        bad = pgconn.status == pq.ConnStatus.BAD
        state = pq.PollingStatus.FAILED if bad else pgconn.connect_poll()
        if state == pq.PollingStatus.OK:
            link.attach()
            return
        if state == pq.PollingStatus.FAILED:
            # Masked at once: an error that is raised in place of this one still refers to it.
            raise _Refused(_refusal(pgconn, parameters))
        link.watch(pgconn.socket, READ if state == pq.PollingStatus.READING else WRITE)
        waiting = voice.wait(link, deadline)
        if waiting is not None:
            await waiting


def _refusal(pgconn: PGconn, parameters: ConnectionParameters) -> Refusal:
    message = pgconn.error_message.decode(errors="replace")
    names = (parameters.get("user"), parameters.get("dbname"))
    refusal = read_refusal(message, needs_password=pgconn.needs_password, names=names)
    return attrs.evolve(refusal, text=parameters.masked(refusal.text))


async def _looked_up(
    parameters: ConnectionParameters, where: str, voice: Voice, deadline: float
) -> list[ConnectionParameters]:
    try:
        return await _attempts(parameters, voice, deadline)
    except DeadlineExceeded as fault:
        raise_for_signal(fault)
        raise BackendUnavailableError(
            f"can't look up the address of PostgreSQL at {where} in time"
        ) from None
    except OSError as fault:
        raise_for_signal(fault)
        raise BackendUnavailableError(
            f"can't look up the address of PostgreSQL at {where}: {fault.strerror}"
        ) from None


async def _attempts(
    parameters: ConnectionParameters, voice: Voice, deadline: float
) -> list[ConnectionParameters]:
    """One set of parameters for each address: libpq's own trying has no deadline."""
    attempts: list[ConnectionParameters] = []
    fault: OSError | None = None
    for one in _hosts(parameters):
        try:
            attempts += await _resolved(one, voice, deadline)
        except DeadlineExceeded:
            raise
        except OSError as failed:
            raise_for_signal(failed)
            fault = failed
    if not attempts and fault:
        raise fault
    if parameters.get("load_balance_hosts") == "random":
        random.shuffle(attempts)
    if parameters.get("target_session_attrs") == "prefer-standby":
        wanted = ("standby", "any")
        return [one.but(target_session_attrs=kind) for kind in wanted for one in attempts]
    return attempts


def _hosts(parameters: ConnectionParameters) -> list[ConnectionParameters]:
    if parameters.get("service") and not (parameters.has("host") or parameters.has("hostaddr")):
        return [parameters]  # the service file may name hosts, and only libpq reads it
    lists = {name: parameters.get(name).split(",") for name in ("host", "hostaddr", "port")}
    count = max(map(len, lists.values()))
    for name, values in lists.items():
        if len(values) not in (1, count):
            raise StorageError(f"the connection URL has {count} hosts, and {len(values)} of {name}")
    return [
        parameters.but(**{name: values[number % len(values)] for name, values in lists.items()})
        for number in range(count)
    ]


async def _resolved(
    parameters: ConnectionParameters, voice: Voice, deadline: float
) -> list[ConnectionParameters]:
    host = parameters.get("host")
    if parameters.get("hostaddr") or not host or host.startswith(("/", "@")):  # a unix socket
        return [parameters]
    return [parameters.but(hostaddr=address) for address in await voice.resolve(host, deadline)]


def _limit(parameters: ConnectionParameters, share: float) -> float:
    """When to give up on one address: by the user's connect_timeout, or after a fair share."""
    seconds = parameters.get("connect_timeout")
    return monotonic() + float(seconds) if seconds.isdigit() and int(seconds) else share
