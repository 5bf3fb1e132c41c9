"""The process that `services.dynamodb` starts: moto's DynamoDB, one request at a time.

DynamoDB compares and writes an item in one step. moto does so in two, and serves each connection
by a thread of its own: without the lock, concurrent conditional writes would all succeed.
"""

import logging
import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def in_turn(application: Application) -> Application:
    """The application, for one request at a time."""
    lock = Lock()

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with lock:
            return application(environ, start_response)

    return serve


def main(host: str, port: str) -> None:
    """Serve until a signal comes."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    application = in_turn(DomainDispatcherApplication(create_backend_app))
    run_simple(host, int(port), application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(*sys.argv[1:])
