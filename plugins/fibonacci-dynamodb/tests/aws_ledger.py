"""The requests that boto3 makes: recorded and counted; a test's script may respond to them."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore.handlers
import pytest

from . import aws_limits
from .aws_responses import Script


class Ledger:
    """The requests that boto3 made, all of them valid for DynamoDB."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.signatures: list[str] = []
        self.script = Script()

    def note(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        """Handle the event ``before-call``."""
        body = aws_limits.body_of(params)
        try:
            aws_limits.check(model.name, body)
        except AssertionError as broken:
            pytest.fail(f"DynamoDB would not take this {model.name}: {broken}")
        self.requests.append((model.name, body))

    def respond(self, request: Any, **_: Any) -> Any:
        """Handle the event ``before-send``: return the script's response, or None."""
        self.signatures.append(request.headers["Authorization"].decode())
        return self.script.respond(request)

    def count(self, work: Callable[[], object]) -> dict[str, int]:
        """Call ``work``, and return how many requests it made, by operation."""
        before = len(self.requests)
        work()
        return Counter(name for name, _ in self.requests[before:])


LEDGER = Ledger()

# As in moto: botocore registers these handlers with each client that it creates.
botocore.handlers.BUILTIN_HANDLERS += [
    ("before-call.dynamodb", LEDGER.note),
    ("before-send.dynamodb", LEDGER.respond),
]
