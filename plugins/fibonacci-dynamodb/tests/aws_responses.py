"""Answers that moto never gives: throttles, work put off, empty pages, failures.

They come in boto3's event ``before-send``, in the place of what would be sent.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from botocore.awsrequest import AWSPreparedRequest, AWSResponse


@attrs.frozen
class Body:
    """A body as botocore reads it."""

    data: bytes

    def stream(self) -> Iterator[bytes]:
        """Yield it."""
        yield self.data


Answer = Callable[[AWSPreparedRequest], AWSResponse | None]


def error(code: str, status: int = 400, message: str = "told by DynamoDB") -> Answer:
    """Answer with an error."""
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return answer({"__type": kind, "message": message}, status)


def answer(body: dict[str, Any], status: int = 200) -> Answer:
    """Answer with a body."""
    data = Body(json.dumps(body).encode())
    headers = {"x-amzn-RequestId": "REQUEST1"}
    return lambda request: AWSResponse(request.url, status, headers, data)


def passing(request: AWSPreparedRequest) -> None:
    """Let the request go to the server."""


class Script:
    """What to answer to the next requests of some operations; all others go to the server."""

    def __init__(self) -> None:
        self._answers: dict[str, deque[Answer]] = {}

    def add(self, operation: str, *answers: Answer) -> None:
        """Answer the next requests of this operation so, one after the other."""
        self._answers.setdefault(operation, deque()).extend(answers)

    def always(self, operation: str, given: Answer) -> None:
        """Answer all requests of this operation so."""
        self._answers[operation] = deque([given] * 100_000)

    def answer(self, request: AWSPreparedRequest) -> AWSResponse | None:
        """What boto3 takes for the answer; None to have it sent."""
        target = request.headers["X-Amz-Target"]
        name = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        waiting = self._answers.get(name)
        return waiting.popleft()(request) if waiting else None

    def end(self) -> None:
        """Forget what was not asked for."""
        self._answers.clear()
