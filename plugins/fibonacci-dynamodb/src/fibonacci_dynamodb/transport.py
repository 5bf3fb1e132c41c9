"""The HTTP transport of boto3's client, instead of botocore's urllib3: with a deadline a call.

urllib3 has one timeout for each wait, its pool's lock stays locked if a signal handler raises in a
call, and it passes on a truncated response, which botocore's parser takes for one without an item.
"""

import json
import logging
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cached_property
from http.client import HTTPResponse
from typing import Final, cast

import attrs
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from fibonacci.plugin.runtime import IdlePool, raise_for_signal
from fibonacci_dynamodb.connection import (
    Connection,
    Endpoint,
    SelfClosingSSLSocket,
    TransportError,
)

MAX_IDLE: Final = 10
"""Connections that stay open for the next calls; more concurrent calls open more, for one call."""
MAX_IDLE_SECONDS: Final = 20.0
"""How long one stays open: NATs and load balancers silently drop idle connections, often after a
minute."""


_log: Final = logging.getLogger("fibonacci.dynamodb")


@attrs.define
class Exchange:
    """One request and its response."""

    deadline: float
    sent: bool = False
    """Whether the last byte of the request may have been sent; before, nothing was applied."""


current_exchange: Final = ContextVar[Exchange]("fibonacci_dynamodb_exchange")
"""The exchange of the current call: botocore passes none of our objects through."""


class Transport:
    """What botocore's client sends through; it has the two methods that the client calls."""

    def __init__(self, find_ca_file: Callable[[], str]) -> None:
        self._find_ca_file = find_ca_file
        self._pools: dict[str, ConnectionPool] = {}

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request, once.

        Raises OSError or HTTPException if no complete response arrives.
        """
        outgoing = Request(request)
        del request  # a traceback may show this frame's variables, and a request shows its headers
        exchange = current_exchange.get()
        pool = self._pool(outgoing.url)
        connection = self._getconn(pool, exchange.deadline)
        try:
            response = _request(connection, outgoing.serialize(pool.endpoint), exchange)
            if response.will_close:
                connection.close()
            else:
                pool.idle.push(connection)
        except BaseException:
            connection.close()
            raise
        return AWSResponse(outgoing.url, response.status, response.headers, response.body)

    def close(self) -> None:
        """Close the idle connections; those in use close after their call."""
        for pool in self._pools.values():
            pool.idle.close()

    def _pool(self, url: str) -> "ConnectionPool":
        pool = self._pools.get(url)
        if pool is None:
            endpoint = Endpoint.from_url(url)
            idle = IdlePool[Connection](
                max_idle=MAX_IDLE,
                max_age=MAX_IDLE_SECONDS,
                logger=_log,
                server=endpoint.authority,
            )
            pool = self._pools.setdefault(url, ConnectionPool(endpoint, idle))
        return pool

    def _getconn(self, pool: "ConnectionPool", deadline: float) -> Connection:
        """Return an idle connection that is still open, or a new one."""
        connection = pool.idle.pop()
        if connection is None:
            context = self._tls_context if pool.endpoint.use_tls else None
            connection = pool.endpoint.connect(context, deadline)
            _log.debug("connected to %s", pool.endpoint.authority)
            return connection
        connection.deadline = deadline
        return connection

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._find_ca_file())
        # botocore does not require this either; Python does since 3.13.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.sslsocket_class = SelfClosingSSLSocket
        return context


@attrs.frozen
class ConnectionPool:
    """One endpoint, and its idle connections."""

    endpoint: Endpoint
    idle: IdlePool[Connection]


@attrs.frozen(repr=False)
class Request:
    """A request as botocore prepared it: with a signature, a session token and a value in it."""

    aws_request: AWSPreparedRequest

    @property
    def url(self) -> str:
        """The URL of the endpoint."""
        return str(self.aws_request.url)

    def serialize(self, endpoint: Endpoint) -> memoryview:
        """Return its bytes; as a memoryview, whose repr shows nothing of them."""
        method, headers = self.aws_request.method, self.aws_request.headers.items()
        head = (
            f"{method} {endpoint.request_target} HTTP/1.1\r\n"
            f"Host: {endpoint.host_header}\r\n{endpoint.proxy_header}"
        )
        lines = b"".join(b"%b: %b\r\n" % (_encode(name), _encode(text)) for name, text in headers)
        return memoryview(
            b"%b%bAccept-Encoding: identity\r\n\r\n%b"
            % (head.encode(), lines, self.aws_request.body)
        )


@attrs.frozen(kw_only=True)
class Response:
    """A complete response."""

    status: int
    headers: dict[str, str]
    body: "Body"
    will_close: bool


@attrs.frozen
class Body:
    """A body with the interface that ``AWSResponse`` reads."""

    data: bytes

    def stream(self) -> Iterator[bytes]:
        """Yield all data in one chunk."""
        yield self.data


def _encode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _request(connection: Connection, request: memoryview, exchange: Exchange) -> Response:
    """Send the request, and read its response."""
    _send(connection, request, exchange)
    response = HTTPResponse(cast(socket.socket, connection), method="POST")
    try:
        response.begin()
        body = _read_body(response)
    finally:
        response.close()
    headers = dict(response.getheaders())
    return Response(
        status=response.status,
        headers=headers,
        body=Body(body),
        will_close=response.will_close,
    )


def _send(connection: Connection, request: memoryview, exchange: Exchange) -> None:
    exchange.sent = True  # set before: a signal handler may raise just after the last byte
    try:
        connection.sendall(request)
    except OSError as error:
        raise_for_signal(error)
        exchange.sent = False  # the operating system says so: the last byte was not sent
        raise


def _read_body(response: HTTPResponse) -> bytes:
    """Return the body; raise TransportError if it may be truncated, or is not DynamoDB's.

    botocore's parser takes whatever it can't read for a response with nothing in it.
    """
    if response.length is None and not response.chunked:
        raise TransportError("the response does not state its length")
    body = response.read()
    checksum = response.headers.get("x-amz-crc32")
    if checksum is None:
        if response.status < 300 and not _is_json_object(body):
            raise TransportError("the response is not from DynamoDB")
    elif checksum != str(zlib.crc32(body)):
        raise TransportError("the response does not match its checksum")
    return body


def _is_json_object(body: bytes) -> bool:
    """Return whether it is JSON as DynamoDB writes it; AWS itself sends a checksum instead."""
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
