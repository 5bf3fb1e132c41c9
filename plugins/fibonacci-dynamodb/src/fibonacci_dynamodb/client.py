"""boto3's client, made at the first call, and asked once a call, until a deadline."""

import logging
from typing import Any, Final

import attrs
import boto3
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path

from fibonacci.errors import FibonacciError
from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    ThreadSingleFlight,
    drop_log_records,
    raise_for_signal,
)
from fibonacci_dynamodb import faults
from fibonacci_dynamodb.login import Login
from fibonacci_dynamodb.settings import Settings
from fibonacci_dynamodb.surroundings import bundle, check_bundle
from fibonacci_dynamodb.transport import Exchange, Transport, current

_CONFIG: Final = Config(
    # One attempt: boto3 would send an update again that may have been applied already.
    retries={"total_max_attempts": 1, "mode": "standard"},
    parameter_validation=False,
    user_agent_extra="fibonacci-dynamodb",
)

QUOTING: Final = (
    "botocore.auth",
    "botocore.endpoint",
    "botocore.hooks",
    "botocore.parsers",
    "botocore.regions",
    "botocore.retryhandler",
)
"""The loggers that write requests and answers, with values and session tokens in them. What an
application does with a client of its own is logged as it was."""

JOINED_FOR: Final = 60.0
"""Seconds for which a call waits for a client that another one makes."""


@attrs.frozen
class Tools:
    """The client, what it signs with, and what it sends through."""

    client: BaseClient
    login: Login
    transport: Transport


class Client:
    """The API of the service that has our table. One object serves all threads of a process."""

    def __init__(self, settings: Settings) -> None:
        self.where: Final = settings.where
        self._settings = settings
        self._tools: Tools | None = None
        self._making = ThreadSingleFlight(self._make, max_join_age=JOINED_FOR)

    def ask(
        self, operation: str, request: dict[str, Any], *, changes: bool, deadline: float
    ) -> dict[str, Any]:
        """Make one call, and return its answer; ``changes`` says whether it may alter a record.

        Raises ClientError for a code in ``faults.ANSWERS``, and a StorageError for all else.
        """
        exchange = Exchange(deadline)
        before = current.set(exchange)
        try:
            tools = self._ready(deadline)
            answer: dict[str, Any] = getattr(tools.client, operation)(**request)
            return answer
        except FibonacciError:
            raise
        except ClientError as fault:
            raise_for_signal(fault)
            if faults.code_of(fault) in faults.ANSWERS:
                raise
            told = faults.refused(fault, self.where, changes=changes)
        except faults.BROKEN as fault:
            raise_for_signal(fault)
            told = faults.broken(fault, self.where, applied=changes and exchange.sent)
        finally:
            current.reset(before)
        raise told  # not in the block: botocore's own error would be its context, keys and all

    def close(self) -> None:
        """Let go of the connections."""
        if self._tools:
            self._tools.transport.close()

    def _ready(self, deadline: float) -> Tools:
        """Return the client, and see that it can sign."""
        tools = self._tools or self._making.do(deadline=deadline)
        try:
            tools.login.renew(deadline)
        except DeadlineExceeded as fault:
            raise faults.no_keys(fault, self.where) from None
        if not tools.login.found:
            raise faults.no_keys(None, self.where)
        return tools

    def _make(self) -> Tools:
        try:
            self._tools = self._tools or tools_for(self._settings)
            return self._tools
        except Exception as fault:  # noqa: BLE001 - boto3 raises anything for what is set up wrongly
            raise_for_signal(fault)
            told = faults.unusable(fault, self.where)
        raise told  # as above: a file with keys may be what could not be read


def tools_for(settings: Settings) -> Tools:
    """Make the client: 0.3 s of reading files, AWS's and botocore's own; it asks nobody."""
    drop_log_records(QUOTING, _is_ours)
    session = botocore.session.Session(profile=settings.profile)
    session.set_config_variable("region", settings.region)
    login = Login(session, settings.where)
    client = boto3.Session(botocore_session=session).client(
        "dynamodb", endpoint_url=settings.endpoint_url, config=_CONFIG
    )
    transport = Transport(lambda: _certificates(session))
    client._endpoint.http_session.close()  # botocore's own, in whose place ours comes
    client._endpoint.http_session = transport
    return Tools(client, login, transport)


def _certificates(session: botocore.session.Session) -> str:
    """Return the file of the authorities to trust, as botocore finds it.

    Raises ConfigurationError for one that can't be read.
    """
    given = session.get_config_variable("ca_bundle") or bundle()
    if given:
        check_bundle(str(given))
    return str(get_cert_path(given or True))


def _is_ours(_: logging.LogRecord) -> bool:
    """Say whether a record is of a call that this plugin makes, in this thread."""
    return current.get(None) is not None
