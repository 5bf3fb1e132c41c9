"""The process that `services.dynamodb` starts: moto's DynamoDB, mended where it is unlike AWS's.

DynamoDB compares and writes an item in one step. moto does so in two, and serves each connection
by a thread of its own: without the lock, concurrent conditional writes would all succeed.
And of an attribute that is updated it counts the old value too, and of a binary one the base64:
those of 200 KB would be too large. AWS keeps connections; the server that moto brings ends each.
"""

import sys
from base64 import b64decode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Lock
from typing import Any, ClassVar

from flask import Flask
from moto.dynamodb.models.dynamo_type import DynamoType, LimitedSizeDict
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import create_environ, run_wsgi_app


class Handler(BaseHTTPRequestHandler):
    """Serves one request after the other on a connection."""

    application: ClassVar[Flask]
    turn: ClassVar[Lock] = Lock()

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # a reply leaves at once, and not in two pieces

    def do_POST(self) -> None:
        """Hand the request to moto."""
        body = BytesIO(self.rfile.read(int(self.headers["Content-Length"])))
        headers = dict(self.headers)
        environ = create_environ(self.path, method="POST", input_stream=body, headers=headers)
        with self.turn:
            pieces, status, answered = run_wsgi_app(self.application, environ, buffered=True)
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in answered.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"".join(pieces))

    def log_message(self, *_: Any) -> None:
        """Write no line for each request."""


class Server(ThreadingHTTPServer):
    """Serves each connection by a thread."""

    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients of a farm come and go."""


def size_of(plain: Callable[[DynamoType], int]) -> Callable[[DynamoType], int]:
    """The size of an attribute, a binary one's in bytes."""

    def size(value: DynamoType) -> int:
        encoded = value.is_binary() and isinstance(value.value, str)
        return len(b64decode(value.value)) if encoded else plain(value)

    return size


def replacing(
    plain: Callable[[LimitedSizeDict, str, Any], None],
) -> Callable[[LimitedSizeDict, str, Any], None]:
    """Setting an attribute of an item, in the place of the old one."""

    def set_item(item: LimitedSizeDict, name: str, value: Any) -> None:
        item.pop(name, None)
        plain(item, name, value)

    return set_item


def main(host: str, port: str) -> None:
    """Serve until a signal comes."""
    DynamoType.size = size_of(DynamoType.size)
    LimitedSizeDict.__setitem__ = replacing(LimitedSizeDict.__setitem__)
    Handler.application = create_backend_app("dynamodb")
    Server((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
