"""The requests that boto3 makes, in a test's hands: watched, counted, and answered by a script."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore.handlers
import pytest

from . import aws_limits
from .aws_responses import Script


class Ledger:
    """The requests that boto3 made, which DynamoDB would all have taken."""

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

    def answer(self, request: Any, **_: Any) -> Any:
        """Handle the event ``before-send``: what the script says, or nothing."""
        self.signatures.append(request.headers["Authorization"].decode())
        return self.script.answer(request)

    def count(self, work: Callable[[], object]) -> dict[str, int]:
        """Do some work, and return how many requests it made, by their operations."""
        before = len(self.requests)
        work()
        return Counter(name for name, _ in self.requests[before:])


LEDGER = Ledger()

# As moto does it: botocore registers these at each client that it makes.
botocore.handlers.BUILTIN_HANDLERS += [
    ("before-call.dynamodb", LEDGER.note),
    ("before-send.dynamodb", LEDGER.answer),
]
