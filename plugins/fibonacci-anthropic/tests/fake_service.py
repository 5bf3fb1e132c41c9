"""A fake of Anthropic's Messages API with scripted replies: real sockets, the service's bytes.

    with FakeService() as service:
        service.add_replies(response("Hel", "lo"), error_response(429, "rate_limit_error"))
        ...                                  # the first two requests to service.url
        assert service.requests[0].body["model"] == "claude-x"

A reply is a list of steps: bytes are sent; a number is a pause in seconds, which ends early if the
client disconnects; DISCONNECT closes the connection.
"""

import json
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import attrs
from services import ports

DISCONNECT: Final = None
SILENCE: Final = 30.0

Step = bytes | float | None
Reply = Sequence[Step]


@attrs.frozen
class ReceivedRequest:
    """A request as the service received it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int
    """The number of its connection, counted from 0."""


class Disconnected(Exception):  # noqa: N818
    """The client closed the connection."""


class FakeService:
    """A server in threads. Each request gets the next scripted reply, else that of ``respond``."""

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        respond: Callable[[dict[str, Any]], Reply] | None = None,
    ) -> None:
        self.port = ports.claim()
        self.url = f"http{'s' if context else ''}://{ports.LOOPBACK}:{self.port}"
        self.requests: list[ReceivedRequest] = []
        self.disconnected = threading.Event()
        """Set when a client closes its connection in a pause of a reply."""
        self.paused = threading.Event()
        """Set when a pause begins."""
        self._context = context
        self._respond = respond
        self._script: deque[Reply] = deque()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server((ports.LOOPBACK, self.port))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def add_replies(self, *replies: Reply) -> None:
        """Append replies to the script."""
        self._script.extend(replies)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in list(self._sockets):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        ports.release(self.port)

    def _accept(self) -> None:
        threads = []
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                serve = threading.Thread(target=self._serve, args=(client, len(threads)))
                threads.append(serve)
                serve.start()
        for thread in threads:
            thread.join()

    def _serve(self, client: socket.socket, number: int) -> None:
        self._sockets.add(client)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
                self._sockets.add(client)
            with client, client.makefile("rb") as lines:
                while received := _request(lines, number):
                    self.requests.append(received)
                    reply = self._reply(received.body)
                    self._play(client, reply)
                    if DISCONNECT in reply:  # later requests are not read
                        break
        except (Disconnected, OSError, ValueError):
            self.disconnected.set()

    def _reply(self, body: dict[str, Any]) -> Reply:
        if self._script or self._respond is None:
            return self._script.popleft()
        return self._respond(body)

    def _play(self, client: socket.socket, reply: Reply) -> None:
        for step in reply:
            match step:
                case bytes():
                    client.sendall(step)
                case None:
                    client.shutdown(socket.SHUT_RDWR)
                case seconds:
                    self.paused.set()
                    readable, _, _ = select.select([client], [], [], seconds)
                    if readable:
                        raise Disconnected


def _request(lines: Any, connection: int) -> ReceivedRequest | None:
    first = lines.readline()
    if not first:
        return None
    headers = {}
    while (line := lines.readline()) != b"\r\n":
        if not line:
            raise Disconnected  # within its request, as a cancelled client does
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    size = int(headers.get("content-length", 0))
    sent = lines.read(size)
    if len(sent) < size:
        raise Disconnected
    return ReceivedRequest(first.split()[1].decode(), headers, json.loads(sent or "{}"), connection)


def event(kind: str, **fields: Any) -> bytes:
    """Return one event of a stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def start(**usage: int) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}
    return event("message_start", message=message)


def block(kind: str, *deltas: dict[str, Any], index: int = 0, **fields: Any) -> list[bytes]:
    """Return the events of one block of content."""
    return [
        event("content_block_start", index=index, content_block={"type": kind, **fields}),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def text(*pieces: str) -> list[bytes]:
    return block("text", *({"type": "text_delta", "text": piece} for piece in pieces), text="")


def end(reason: str = "end_turn", output_tokens: int = 2, **delta: Any) -> list[bytes]:
    delta = {"stop_reason": reason, "stop_sequence": None, **delta}
    usage = {"output_tokens": output_tokens}
    return [event("message_delta", delta=delta, usage=usage), event("message_stop")]


def events(*pieces: str) -> list[bytes]:
    """Return the events of a complete response."""
    return [start(input_tokens=5, output_tokens=1), *text(*pieces), *end()]


def head(code: int = 200, kind: str = "text/event-stream", **headers: object) -> bytes:
    """Return the head of a chunked response; a header's name has _ instead of -."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"HTTP/1.1 {code} Said\r\ncontent-type: {kind}\r\n{more}transfer-encoding: chunked\r\n\r\n"
    ).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST: Final = b"0\r\n\r\n"


def stream(parts: Sequence[Step]) -> Iterator[Step]:
    """Yield a streamed response; there may be pauses between the events."""
    yield head()
    for part in parts:
        yield chunk(part) if isinstance(part, bytes) else part
    yield LAST


def response(*pieces: str) -> Reply:
    """Return a complete response."""
    return list(stream(events(*pieces)))


def error_response(
    code: int, kind: str = "error", message: str = "a reason", **headers: object
) -> Reply:
    """Return an error response."""
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return [head(code, "application/json", **headers), chunk(json.dumps(error).encode()), LAST]
