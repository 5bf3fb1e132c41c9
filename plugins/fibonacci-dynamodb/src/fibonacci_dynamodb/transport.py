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
from time import monotonic
from typing import Final, cast

import attrs
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

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
    """Whether the request was sent to its last byte; what comes before can't have been applied."""


current: Final = ContextVar[Exchange]("fibonacci_dynamodb_exchange")
"""The call that this thread makes: botocore hands nothing of ours through."""


class Transport:
    """What botocore's client sends through; it has the two methods that the client calls."""

    def __init__(self, certificates: Callable[[], str]) -> None:
        self._certificates = certificates
        self._endpoints: dict[str, Endpoint] = {}

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request, once; raises OSError or HTTPException where no whole answer comes."""
        exchange = current.get()
        endpoint = self._endpoints.get(request.url)
        if endpoint is None:
            endpoint = self._endpoints.setdefault(request.url, Endpoint(route_to(request.url)))
        context = self._context if endpoint.route.secure else None
        line = endpoint.take(context, exchange.deadline)
        try:
            reply = _ask(line, _written(request, endpoint.route.host), exchange)
            if reply.will_close:
                line.close()
            else:
                endpoint.give(line)
        except BaseException:
            line.close()
            raise
        return AWSResponse(request.url, reply.status, reply.headers, reply.body)

    def close(self) -> None:
        """Close the connections that are idle; those in use close after their call."""
        for endpoint in self._endpoints.values():
            endpoint.close()

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._certificates())
        context.sslsocket_class = SecureSocket
        return context


class Endpoint:
    """The connections to one endpoint that are not in use, the last used first.

    Appending to a list, and popping from it, is atomic: no lock, so none that a signal in mid-call
    could leave taken. What is popped comes back only after a whole answer.
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self._idle: list[Line] = []
        self._closed = False

    def take(self, context: ssl.SSLContext | None, deadline: float) -> Line:
        """Return a connection: an idle one that is still open, or a new one."""
        while line := self._pop():
            if monotonic() - line.used < IDLE_SECONDS and line.quiet():
                line.deadline = deadline
                return line
            line.close()
        return self.route.dial(context, deadline)

    def give(self, line: Line) -> None:
        """Keep a connection for the next call."""
        line.used = monotonic()
        self._idle.append(line)
        if self._closed:
            self.close()
        elif len(self._idle) > IDLE_LINES and (oldest := self._pop(0)):
            oldest.close()

    def close(self) -> None:
        """Close what is idle, and what comes back."""
        self._closed = True
        while line := self._pop():
            line.close()

    def _pop(self, index: int = -1) -> Line | None:
        try:
            return self._idle.pop(index)
        except IndexError:  # another thread was faster
            return None


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


def _written(request: AWSPreparedRequest, host: str) -> bytes:
    lines = [f"{request.method} / HTTP/1.1\r\nHost: {host}\r\n".encode()]
    for name, value in request.headers.items():
        written = value if isinstance(value, bytes) else value.encode()
        lines.append(b"%b: %b\r\n" % (name.encode(), written))
    return b"%bAccept-Encoding: identity\r\n\r\n%b" % (b"".join(lines), request.body)


def _ask(line: Line, request: bytes, exchange: Exchange) -> Reply:
    line.sendall(request)
    exchange.sent = True
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
