"""Responses that moto never gives: throttling, unprocessed items, empty pages, failures.

They come in boto3's event ``before-send``, and nothing is sent then.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from botocore.awsrequest import AWSPreparedRequest, AWSResponse


@attrs.frozen
class Body:
    """A body with the interface that botocore reads."""

    data: bytes

    def stream(self) -> Iterator[bytes]:
        """Yield the body in one chunk."""
        yield self.data


Responder = Callable[[AWSPreparedRequest], AWSResponse | None]


def error(code: str, status: int = 400, message: str = "raised by DynamoDB") -> Responder:
    """Return an error response, for ``Script``."""
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return respond({"__type": kind, "message": message}, status)


def respond(body: dict[str, Any], status: int = 200) -> Responder:
    """Return a response with a body."""
    data = Body(json.dumps(body).encode())
    headers = {"x-amzn-RequestId": "REQUEST1"}
    return lambda request: AWSResponse(request.url, status, headers, data)


def pass_through(request: AWSPreparedRequest) -> None:
    """Pass the request to the server."""


class Script:
    """Responses to the next requests of some operations; all others go to the server."""

    def __init__(self) -> None:
        self._responders: dict[str, deque[Responder]] = {}

    def add(self, operation: str, *responders: Responder) -> None:
        """Respond to the next requests of this operation, one after the other."""
        self._responders.setdefault(operation, deque()).extend(responders)

    def always(self, operation: str, responder: Responder) -> None:
        """Respond to all requests of this operation."""
        self._responders[operation] = deque([responder] * 100_000)

    def respond(self, request: AWSPreparedRequest) -> AWSResponse | None:
        """Return the response for boto3; None to have the request sent."""
        target = request.headers["X-Amz-Target"]
        name = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        waiting = self._responders.get(name)
        return waiting.popleft()(request) if waiting else None

    def end(self) -> None:
        """Drop the responses that were not used."""
        self._responders.clear()
