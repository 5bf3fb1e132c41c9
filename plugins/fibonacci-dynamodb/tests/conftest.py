"""Every request of boto3 in these tests is checked: DynamoDB would refuse none of them."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import botocore.session
import pytest
from services.dynamodb import DynamoDB, Moto
from services.proxy import Proxy

from fibonacci import BackendUnavailableError, MemoryConfig, MemoryManager, Workflow
from fibonacci.plugin import Address, Space, Store, StoreSettings, StoreURL
from fibonacci_dynamodb import fibonacci_storage

from .aws_ledger import LEDGER, Ledger

Open = Callable[..., MemoryManager]
OpenStore = Callable[..., Store]

ADDRESS = Address(Space("p:", "workflow", "w"), "k")


# Each test has its own clients; they share botocore's service descriptions, which it reads once.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture(autouse=True)
def ledger() -> Iterator[Ledger]:
    """The ledger of this test."""
    LEDGER.requests.clear()
    LEDGER.signatures.clear()
    yield LEDGER
    LEDGER.script.end()


@pytest.fixture
def open_memory() -> Iterator[Open]:
    """Opens memories, each with its own store; they are closed after the test."""
    workflows: list[Workflow] = []

    def opened(url: str, *, name: str = "w", timeout: float = 30, **options: Any) -> MemoryManager:
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
    """A memory for this test only, on an existing table."""
    memory = open_memory(table_url, name=request.node.name)
    memory.exists("k")
    return memory


@pytest.fixture
def proxied(moto_server: Moto, moto_proxy: Proxy) -> str:
    """The URL of a table for this test only, through `moto_proxy`."""
    return moto_server.fresh.replace(str(moto_server.port), str(moto_proxy.port))


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    """Opens stores, without core's retries; they are closed after the test."""
    stores: list[Store] = []

    def opened(url: str, **options: Any) -> Store:
        settings = StoreSettings(url=StoreURL.parse(url), options=options)
        store = fibonacci_storage(settings).create_store()
        assert isinstance(store, Store)
        stores.append(store)
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(proxied: str, open_store: OpenStore) -> Store:
    """A store that connects through `moto_proxy`, on an existing table."""
    store = open_store(proxied)
    store.remove(ADDRESS, deadline=soon(10))
    return store


def ready(memory: MemoryManager) -> MemoryManager:
    """Return the memory, connected: creating boto3's client can exceed a short timeout."""
    while True:
        with suppress(BackendUnavailableError):
            memory.exists("k")
            return memory


def soon(seconds: float = 20) -> float:
    """Return a deadline."""
    return time.monotonic() + seconds


def until(claim: Callable[[], object]) -> None:
    """Wait until a condition holds that other threads bring about."""
    end = soon(30)
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.005)


def name_of(url: str) -> str:
    """Return the table's name in a URL."""
    return url.rpartition("table=")[2]
