"""boto3's client: created by the first call; one request a call, within a deadline."""

import logging
from contextvars import copy_context
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
from fibonacci_dynamodb.credentials import MAX_JOIN_AGE, SigningCredentials
from fibonacci_dynamodb.environment import ca_file, check_ca_file
from fibonacci_dynamodb.settings import Settings
from fibonacci_dynamodb.transport import Exchange, Transport, current_exchange

_CONFIG: Final = Config(
    # One attempt: boto3 would repeat an update that may have been applied already.
    retries={"total_max_attempts": 1, "mode": "standard"},
    parameter_validation=False,
    user_agent_extra="fibonacci-dynamodb",
)

SENSITIVE_LOGGERS: Final = (
    "botocore.auth",
    "botocore.endpoint",
    "botocore.hooks",
    "botocore.parsers",
    "botocore.regions",
    "botocore.retryhandler",
)
"""The loggers that write requests and responses, with values and session tokens in them. Records
of an application's own clients are logged as before."""


@attrs.frozen
class ClientBundle:
    """boto3's client, its credentials and its transport."""

    client: BaseClient
    credentials: SigningCredentials
    transport: Transport


class Client:
    """The DynamoDB API for one table. One object serves all threads of a process."""

    def __init__(self, settings: Settings) -> None:
        self.label: Final = settings.label
        self._settings = settings
        self._bundle: ClientBundle | None = None
        self._creating = ThreadSingleFlight(self._create_bundle, max_join_age=MAX_JOIN_AGE)

    def execute(
        self, operation: str, request: dict[str, Any], *, changes: bool, deadline: float
    ) -> dict[str, Any]:
        """Send one request, and return its response; ``changes``: whether it may alter a record.

        Raises ClientError for a code in ``faults.HANDLED_CODES``, and StorageError for all others.
        """
        # In a context of its own: a signal handler's exception between set and reset would leave
        # the exchange set, and records of the application's clients would be dropped as ours.
        exchange = Exchange(deadline)
        return copy_context().run(self._execute, exchange, operation, request, changes)

    def _execute(
        self, exchange: Exchange, operation: str, request: dict[str, Any], changes: bool
    ) -> dict[str, Any]:
        current_exchange.set(exchange)
        try:
            bundle = self._ready_bundle(exchange.deadline)
            response: dict[str, Any] = getattr(bundle.client, operation)(**request)
            return response
        except FibonacciError:
            raise
        except ClientError as error:
            raise_for_signal(error)
            if faults.code_of(error) in faults.HANDLED_CODES:
                raise
            mapped = faults.map_client_error(error, self.label, changes=changes)
        except faults.NO_RESPONSE_ERRORS as error:
            raise_for_signal(error)
            maybe_applied = changes and exchange.sent
            mapped = faults.map_transport_error(error, self.label, maybe_applied=maybe_applied)
        raise mapped  # not in the block: botocore's error would be its context, keys included

    def close(self) -> None:
        """Close the idle connections; those in use close after their call."""
        if self._bundle:
            self._bundle.transport.close()

    def _ready_bundle(self, deadline: float) -> ClientBundle:
        """Return the client, with credentials that are valid."""
        bundle = self._bundle or self._creating.do(deadline=deadline)
        try:
            bundle.credentials.refresh(deadline)
        except DeadlineExceeded as error:
            raise faults.map_credentials_error(error, self.label) from None
        if not bundle.credentials.available:
            raise faults.map_credentials_error(None, self.label)
        return bundle

    def _create_bundle(self) -> ClientBundle:
        try:
            self._bundle = self._bundle or create_bundle(self._settings)
            return self._bundle
        except Exception as error:  # noqa: BLE001 - boto3 raises anything for a wrong configuration
            raise_for_signal(error)
            mapped = faults.map_setup_error(error, self.label)
        raise mapped  # as above: the file that could not be read may hold keys


def create_bundle(settings: Settings) -> ClientBundle:
    """Create the client: 0.3 s of reading AWS's and botocore's files; nothing is sent."""
    drop_log_records(SENSITIVE_LOGGERS, _is_ours)
    session = botocore.session.Session(profile=settings.profile)
    session.set_config_variable("region", settings.region)
    credentials = SigningCredentials(session, settings.label)
    client = boto3.Session(botocore_session=session).client(
        "dynamodb", endpoint_url=settings.endpoint_url, config=_CONFIG
    )
    transport = Transport(lambda: _ca_file(session))
    _replace_transport(client, transport)
    return ClientBundle(client, credentials, transport)


def _replace_transport(client: BaseClient, transport: Transport) -> None:
    """Have the client send through our transport.

    botocore has no public way to do this: ``_endpoint`` is the one private attribute of boto3 that
    this package relies on, and this is the only place that does.
    """
    endpoint = client._endpoint
    endpoint.http_session.close()
    endpoint.http_session = transport


def _ca_file(session: botocore.session.Session) -> str:
    """Return the file of trusted certificate authorities, as botocore finds it.

    Raises ConfigurationError for one that can't be read.
    """
    configured = session.get_config_variable("ca_bundle") or ca_file()
    if configured:
        check_ca_file(str(configured))
    return str(get_cert_path(configured or True))


def _is_ours(_: logging.LogRecord) -> bool:
    """Return whether a record is of a call that this plugin makes, in this thread."""
    return current_exchange.get(None) is not None
