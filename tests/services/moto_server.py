"""The process that `services.dynamodb` starts: moto's DynamoDB, fixed where it differs from AWS.

DynamoDB compares and writes an item in one step. moto does so in two, and serves each connection
in its own thread: without the lock, concurrent conditional writes would all succeed. It counts the
old value of an updated attribute too, and the base64 of a binary one: 200 KB would be too large.
AWS keeps connections open; moto's own server closes each.

moto also spends a third of its time on the names of its own methods, on parsing texts as numbers,
and on missing attributes of values.
"""

import functools
import gc
import sys
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Lock
from typing import Any, ClassVar

from flask import Flask
from moto.core import responses
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models import dynamo_type
from moto.dynamodb.models.dynamo_type import DynamoType, LimitedSizeDict
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import create_environ, run_wsgi_app


class Handler(BaseHTTPRequestHandler):
    """Serves requests one after the other on a connection."""

    application: ClassVar[Flask]
    turn: ClassVar[Lock] = Lock()

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # a reply leaves at once, and not in two pieces

    def do_POST(self) -> None:
        """Pass the request to moto."""
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

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log nothing for each request."""


class Server(ThreadingHTTPServer):
    """Serves each connection in a thread."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: clients of a farm come and go."""


class FixedItem(LimitedSizeDict):
    """An item whose updated attributes replace their old ones."""

    def __setitem__(self, key: str, value: Any) -> None:
        self.pop(key, None)
        super().__setitem__(key, value)


_plain_size = DynamoType.size


def size(self: DynamoType) -> int:
    """Return the size of an attribute, a binary one's in bytes."""
    encoded = self.is_binary() and isinstance(self.value, str)
    return len(b64decode(self.value)) if encoded else _plain_size(self)


_plain_cast: Any = DynamoType.cast_value


def cast_value(self: DynamoType) -> Any:
    """Return what an attribute is compared by."""
    return self.value if self.type in ("S", "B") else _plain_cast.fget(self)


TYPES = frozenset(("S", "B", "N"))
_plain_get_value = ResponseSerializer.get_value


def get_value(self: ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
    """Return a part of a response: an attribute's value has no other names for its type."""
    if isinstance(value, dict) and len(value) == 1 and TYPES.issuperset(value):
        return value.get(key)
    return _plain_get_value(self, value, key, shape)


def patch_moto() -> None:
    """Make moto behave like AWS, and faster."""
    attribute: Any = DynamoType
    attribute.size, attribute.cast_value = size, property(cast_value)
    dynamo_type.LimitedSizeDict = FixedItem
    ResponseSerializer.get_value = get_value
    requests: Any = responses
    requests.method_names_from_class = functools.cache(requests.method_names_from_class)


def main(host: str, port: str) -> None:
    """Serve until a signal arrives."""
    patch_moto()
    Handler.application = create_backend_app("dynamodb")
    gc.freeze()  # the collector would look at all of moto again and again
    Server((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
