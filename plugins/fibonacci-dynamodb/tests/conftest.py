"""What boto3 sends is watched in every test: nothing that DynamoDB would refuse may pass."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.fspath(Path(__file__).parent))  # for aws_limits and aws_answers

import aws_limits
import botocore.handlers
from aws_answers import Script
from services.dynamodb import DynamoDB, Moto
from services.proxy import Proxy

from fibonacci import MemoryConfig, MemoryManager, Workflow

Open = Callable[..., MemoryManager]


class Ledger:
    """The requests that boto3 made, which DynamoDB would all have taken."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.script = Script()

    def note(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        """Handle the event ``before-call``."""
        body = aws_limits.body_of(params)
        aws_limits.check(model.name, body)
        self.requests.append((model.name, body))

    def answer(self, request: Any, **_: Any) -> Any:
        """Handle the event ``before-send``: what the script says, or nothing."""
        return self.script.answer(request)

    def count(self, work: Callable[[], object]) -> dict[str, int]:
        """Do some work, and return how many requests it made, by their operations."""
        before = len(self.requests)
        work()
        return Counter(name for name, _ in self.requests[before:])


_LEDGER = Ledger()

# As moto does it: botocore registers these at each client that it makes.
botocore.handlers.BUILTIN_HANDLERS += [
    ("before-call.dynamodb", _LEDGER.note),
    ("before-send.dynamodb", _LEDGER.answer),
]


@pytest.fixture(autouse=True)
def ledger() -> Iterator[Ledger]:
    """The ledger of this test."""
    _LEDGER.requests.clear()
    yield _LEDGER
    _LEDGER.script.end()


@pytest.fixture
def open_memory() -> Iterator[Open]:
    """Opens memories, each with a store of its own; they are closed after the test."""
    workflows: list[Workflow] = []

    def opened(url: str, *, name: str = "w", timeout: float = 5.0, **options: Any) -> MemoryManager:
        timeout += len(workflows) / 1e6
        config = MemoryConfig("dynamodb", url, options=options, timeout=timeout)
        workflows.append(Workflow(name, config))
        return workflows[-1].memory

    yield opened
    for workflow in workflows:
        workflow.close()


@pytest.fixture(scope="session")
def table_url(dynamodb_server: DynamoDB) -> str:
    """The URL of a table that tests share."""
    return dynamodb_server.fresh


@pytest.fixture
def memory(table_url: str, open_memory: Open, request: pytest.FixtureRequest) -> MemoryManager:
    """A memory of this test alone, on a table that is there."""
    memory = open_memory(table_url, name=request.node.name)
    memory.exists("k")
    return memory


@pytest.fixture
def proxied(moto_server: Moto, moto_proxy: Proxy) -> str:
    """The URL of a table of this test alone, by way of `moto_proxy`."""
    return moto_server.fresh.replace(str(moto_server.port), str(moto_proxy.port))
