"""The process that `services.dynamodb` starts: moto's DynamoDB, mended where it is unlike AWS's.

DynamoDB compares and writes an item in one step. moto does so in two, and serves each connection
by a thread of its own: without the lock, concurrent conditional writes would all succeed.
And of an attribute that is updated it counts the old value too, and of a binary one the base64:
those of 200 KB would be too large.
"""

import logging
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, LimitedSizeDict
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def in_turn(application: Application) -> Application:
    """The application, for one request at a time."""
    lock = Lock()

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with lock:
            return application(environ, start_response)

    return serve


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
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    DynamoType.size = size_of(DynamoType.size)
    LimitedSizeDict.__setitem__ = replacing(LimitedSizeDict.__setitem__)
    application = in_turn(create_backend_app("dynamodb"))
    run_simple(host, int(port), application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(*sys.argv[1:])
