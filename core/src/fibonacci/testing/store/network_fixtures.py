"""The store under test behind a proxy, in the test's mode."""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from inspect import isawaitable
from time import monotonic
from typing import Any, ClassVar, cast

import attrs
import pytest

from fibonacci import (
    BackendUnavailableError,
    MemoryManager,
    OutcomeUnknownError,
    Workflow,
)
from fibonacci.plugin import Address, StoreURL, run_sync
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.modes import CallMode, CallPair
from fibonacci.testing.network import Proxy
from fibonacci.testing.store.fixtures import (
    ContractFixtures,
    MemoryFactory,
    MemoryUnderTest,
    MethodCall,
    StoreUnderTest,
)

TIMEOUT = 5.0
"""Seconds for a request that succeeds once the fault is over."""
DEADLINE = 0.4
"""Seconds for a request that does not succeed."""
LIMIT = DEADLINE + 1.1
"""Seconds in which it has to end: the contract's half second, and more for a busy machine."""

_HOSTS = re.compile(r"[^:]+://(?:[^/?]*@)?([^/?@]+)")


@attrs.frozen
class Outcome:
    """How a call ended."""

    method: str
    result: Any
    """What it returned, or the error that it raised."""
    seconds: float


class ProxiedStore(StoreUnderTest):
    """The store behind a proxy; errors of unavailable servers are results of its calls."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of code that make calls in this mode."""
        return self._mode.kinds

    def connect(self, address: Address) -> None:
        """Have each kind of code read a record, so that all are connected."""
        for _ in self.kinds:
            self.read(address)

    def outcome(self, kind: str, method: str, *args: Any, deadline: float = TIMEOUT) -> Any:
        """Have one kind of code call a method, and return its result or error."""
        call = MethodCall(method, args, {})
        self._mode.make_next(kind)
        return self._mode.call(self.attempt_pair(call, deadline)).result

    def outcomes(self, calls: Sequence[MethodCall]) -> list[Outcome]:
        """Make the calls, several at a time, which all have little time."""
        return self._mode.call_concurrently([self.attempt_pair(call, DEADLINE) for call in calls])

    def attempt_pair(self, call: MethodCall, deadline: float) -> CallPair:
        """Return the call, which returns an Outcome; it may take so many seconds."""
        return CallPair(
            lambda: run_sync(_attempt(self.store, call, deadline)),
            lambda: _attempt(self._stores.async_store, call, deadline),
        )


async def _attempt(store: Any, call: MethodCall, deadline: float) -> Outcome:
    began = monotonic()
    try:
        result = getattr(store, call.method)(*call.args, **call.kwargs, deadline=began + deadline)
        if isawaitable(result):
            result = await result
    except (BackendUnavailableError, OutcomeUnknownError) as error:
        result = error
    return Outcome(call.method, result, monotonic() - began)


class NetworkFixtures(ContractFixtures):
    """The fixtures of tests that need a server: not applicable if the URL names none."""

    needs_network: ClassVar[bool] = True
    """For the report."""

    @pytest.fixture
    def written_address(self, memory_factory: MemoryFactory) -> str:
        """The server's host and port, as they are written in the URL."""
        url = memory_factory.config["connection_url"]
        return self.server_address or _only_host(url)

    @pytest.fixture
    def proxy(self, written_address: str) -> Iterator[Proxy]:
        """A proxy in front of the server."""
        host, _, port = written_address.rpartition(":")
        with Proxy(host.strip("[]"), int(port)) as proxy:
            yield proxy

    @pytest.fixture
    def proxied_url(self, memory_factory: MemoryFactory, written_address: str, proxy: Proxy) -> str:
        """The URL of the server through the proxy."""
        url: str = memory_factory.config["connection_url"]
        return url.replace(written_address, _written(proxy.host, proxy.port), 1)

    @pytest.fixture
    def proxied_workflow(
        self, memory_factory: MemoryFactory, mode: CallMode, proxied_url: str, proxy: Proxy
    ) -> Iterator[Workflow]:
        """A workflow whose store connects through the proxy."""
        yield memory_factory.new_workflow(connection_url=proxied_url, timeout=TIMEOUT)
        proxy.heal()
        memory_factory.close()

    @pytest.fixture
    def proxied_memory(
        self, proxied_workflow: Workflow, raw_store: StoreUnderTest, mode: CallMode
    ) -> MemoryManager:
        """The memory of that workflow; what it writes is cleared without the proxy."""
        raw_store.space()
        return cast(MemoryManager, MemoryUnderTest(proxied_workflow.memory, mode))

    @pytest.fixture
    def proxied_store(
        self, proxied_workflow: Workflow, memory_factory: MemoryFactory
    ) -> ProxiedStore:
        """The store itself, through the proxy."""
        return store_of(proxied_workflow, memory_factory)


def store_of(workflow: Workflow, memory_factory: MemoryFactory) -> ProxiedStore:
    """Return the store of a workflow, in the test's mode."""
    return ProxiedStore(
        workflow.memory, memory_factory.prefix, memory_factory.mode, timeout=TIMEOUT
    )


def connect(memory: MemoryManager, mode: CallMode) -> None:
    """Have each kind of code write a record, so that all are connected."""
    for _ in mode.kinds:
        memory.set("k", 1)


def pause(mode: CallMode, seconds: float) -> None:
    """Wait, while the event loop runs; in all kinds of code, as each has a turn."""
    for _ in mode.kinds:
        mode.call(CallPair(lambda: time.sleep(seconds), lambda: asyncio.sleep(seconds)))


def _only_host(url: str | None) -> str:
    hosts = StoreURL.parse(url).hosts if url else ()
    if not hosts:
        not_applicable("the URL names no server")
    if len(hosts) > 1:
        not_applicable("the URL names several servers")
    if None in [port for _, port in hosts]:
        not_applicable("the URL names no port: write it, or set server_address")
    found = _HOSTS.match(str(url).strip())
    assert found
    return found[1]


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
