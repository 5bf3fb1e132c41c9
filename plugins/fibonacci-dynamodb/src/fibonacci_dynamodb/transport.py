"""HTTP as boto3's client sends it, in the place of botocore's urllib3: with a deadline a call.

urllib3 has one timeout for each wait, its pool's lock stays taken if a signal comes in mid-call,
and an answer that is cut off reaches the parser, which takes it for one without an item.
"""

import json
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
from fibonacci_dynamodb.line import Line, LineError, SecureSocket
from fibonacci_dynamodb.route import Route, route_to

IDLE_LINES: Final = 10
"""Connections that are kept for the next calls; more callers at once open more, for one call."""
IDLE_SECONDS: Final = 20.0
"""How long one is kept: what stands between forgets a connection in silence, often in a minute."""


@attrs.define
class Exchange:
    """One call, from here to DynamoDB and back."""

    deadline: float
    sent: bool = False
    """Whether the last byte of the request may have been sent; before, nothing was applied."""


current: Final = ContextVar[Exchange]("fibonacci_dynamodb_exchange")
"""The call that this thread makes: botocore hands nothing of ours through."""


class Transport:
    """What botocore's client sends through; it has the two methods that the client calls."""

    def __init__(self, certificates: Callable[[], str]) -> None:
        self._certificates = certificates
        self._endpoints: dict[str, Endpoint] = {}

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request, once; raises OSError or HTTPException where no whole answer comes."""
        outgoing = Outgoing(request)
        del request  # a traceback may show this frame's names, and a request shows its headers
        exchange = current.get()
        endpoint = self._endpoint(outgoing.url)
        line = self._connected(endpoint, exchange.deadline)
        try:
            reply = _ask(line, outgoing.written(endpoint.route), exchange)
            if reply.will_close:
                line.close()
            else:
                endpoint.idle.push(line)
        except BaseException:
            line.close()
            raise
        return AWSResponse(outgoing.url, reply.status, reply.headers, reply.body)

    def close(self) -> None:
        """Close the connections that are idle; those in use close after their call."""
        for endpoint in self._endpoints.values():
            endpoint.idle.close()

    def _endpoint(self, url: str) -> "Endpoint":
        endpoint = self._endpoints.get(url)
        if endpoint is None:
            idle = IdlePool[Line](max_idle=IDLE_LINES, max_age=IDLE_SECONDS)
            endpoint = self._endpoints.setdefault(url, Endpoint(route_to(url), idle))
        return endpoint

    def _connected(self, endpoint: "Endpoint", deadline: float) -> Line:
        """Return a connection: an idle one that is still open, or a new one."""
        line = endpoint.idle.pop()
        if line is None:
            return endpoint.route.dial(self._context if endpoint.route.secure else None, deadline)
        line.deadline = deadline
        return line

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._certificates())
        # Nor does botocore's own insist on it, which Python does since 3.13.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.sslsocket_class = SecureSocket
        return context


@attrs.frozen
class Endpoint:
    """One endpoint: the way to it, and the connections that nobody uses."""

    route: Route
    idle: IdlePool[Line]


@attrs.frozen(repr=False)
class Outgoing:
    """A request as botocore prepared it: with a signature, a session token and a value in it."""

    request: AWSPreparedRequest

    @property
    def url(self) -> str:
        """Of the endpoint."""
        return str(self.request.url)

    def written(self, route: Route) -> memoryview:
        """Return it as it is sent; a memoryview, as that shows nothing."""
        method, headers = self.request.method, self.request.headers.items()
        head = f"{method} {route.target} HTTP/1.1\r\nHost: {route.host}\r\n{route.proxy_login}"
        lines = b"".join(b"%b: %b\r\n" % (_bytes(name), _bytes(text)) for name, text in headers)
        return memoryview(
            b"%b%bAccept-Encoding: identity\r\n\r\n%b" % (head.encode(), lines, self.request.body)
        )


@attrs.frozen(kw_only=True)
class Reply:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: "Body"
    will_close: bool


@attrs.frozen
class Body:
    """A body as ``AWSResponse`` takes it."""

    data: bytes

    def stream(self) -> Iterator[bytes]:
        """Yield it, in one piece."""
        yield self.data


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _ask(line: Line, request: memoryview, exchange: Exchange) -> Reply:
    _send(line, request, exchange)
    response = HTTPResponse(cast(socket.socket, line), method="POST")
    try:
        response.begin()
        body = _whole(response)
    finally:
        response.close()
    headers = dict(response.getheaders())
    return Reply(
        status=response.status,
        headers=headers,
        body=Body(body),
        will_close=response.will_close,
    )


def _send(line: Line, request: memoryview, exchange: Exchange) -> None:
    exchange.sent = True  # before it is: an interrupt may strike just after the last byte
    try:
        line.sendall(request)
    except OSError as fault:
        raise_for_signal(fault)
        exchange.sent = False  # the system's own word: the last byte was not sent
        raise


def _whole(response: HTTPResponse) -> bytes:
    """Return the body; raises LineError if it may be less than was sent, or something else.

    botocore's parser takes whatever it can't read for an answer with nothing in it.
    """
    if response.length is None and not response.chunked:
        raise LineError("the answer does not say how long it is")
    body = response.read()
    check = response.headers.get("x-amz-crc32")
    if check is None:
        if response.status < 300 and not _is_object(body):
            raise LineError("the answer is not DynamoDB's")
    elif check != str(zlib.crc32(body)):
        raise LineError("the answer does not match its checksum")
    return body


def _is_object(body: bytes) -> bool:
    """Say whether it is JSON as DynamoDB writes it; AWS itself sends a checksum instead."""
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
