"""Connections that end between calls, in the middle of many, or with the store."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from inspect import isawaitable
from random import Random
from secrets import token_hex
from threading import Timer
from time import monotonic
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    ConfigurationError,
    MemoryManager,
    OutcomeUnknownError,
    StorageError,
    Workflow,
)
from fibonacci._memory.store_handle import stores_of
from fibonacci._memory.thread_pool_store import ThreadPoolStore
from fibonacci.plugin import StoreURL, run_sync
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.modes import AsyncMode, CallMode, CallPair
from fibonacci.testing.network import BlackHole, Cut, Forget, Proxy, Refuse
from fibonacci.testing.store.fixtures import (
    MemoryFactory,
    MemoryUnderTest,
    StoreUnderTest,
    call,
    close_workflow,
)
from fibonacci.testing.store.network_fixtures import (
    DEADLINE,
    NetworkFixtures,
    ProxiedStore,
    connect,
    pause,
    store_of,
)

INCREMENTS = 48
"""Of all workers together."""


class ConnectionTests(NetworkFixtures):
    """C16, C18 and C22: connections come and go."""

    @pytest.mark.parametrize("reset", [False, True])
    def test_idle_connections_were_closed(
        self,
        raw_store: StoreUnderTest,
        proxied_store: ProxiedStore,
        proxy: Proxy,
        mode: CallMode,
        reset: bool,
    ) -> None:
        """The change after a server closed idle connections is never of unknown outcome (C18)."""
        at = raw_store.address("k")
        for kind in mode.kinds:
            raw_store.write(at, b"1")
            proxied_store.connect(at)
            proxy.drop(reset=reset)
            pause(mode, 0.02)
            outcome = proxied_store.outcome(kind, "compare_and_set", at, b"1", b"2", None)
            assert outcome is True or isinstance(outcome, BackendUnavailableError)
            assert raw_store.read(at) == (b"2" if outcome is True else b"1")

    def test_delete_after_idle_connections_were_closed(
        self, proxied_memory: MemoryManager, memory: MemoryManager, proxy: Proxy, mode: CallMode
    ) -> None:
        """A delete succeeds after the server closed idle connections (C18)."""
        for kind in mode.kinds:
            connect(proxied_memory, mode)
            proxy.drop()
            pause(mode, 0.02)
            mode.make_next(kind)
            assert proxied_memory.delete("k") is True
            assert memory.exists("k") is False

    def test_forgotten_connections(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
    ) -> None:
        """Idle connections that the network forgot cost two calls a kind of code at most (C18)."""
        at = raw_store.address("k")
        raw_store.write(at, b"old")
        proxied_store.connect(at)
        with proxy.fault(Forget()):
            # Two: a connection that many callers share is not given up at the first late reply.
            for kind in proxied_store.kinds * 2:
                outcome = proxied_store.outcome(kind, "read", at, deadline=DEADLINE)
                assert outcome == b"old" or isinstance(outcome, BackendUnavailableError)
            for _ in proxied_store.kinds:
                assert proxied_store.read(at) == b"old"
                assert proxied_store.compare_and_set(at, b"old", b"old") is True

    def test_restart_of_the_server(
        self, proxied_memory: MemoryManager, proxy: Proxy, mode: CallMode
    ) -> None:
        """Calls wait for a server that is away for a moment, and succeed (C18)."""
        connect(proxied_memory, mode)
        for value, kind in enumerate(mode.kinds):
            proxy.begin(Refuse())
            back = Timer(0.15, proxy.heal)
            back.start()
            mode.make_next(kind)
            try:
                assert proxied_memory.set("k", value) is True
                assert proxied_memory.get("k") == value
            finally:
                back.join()

    def test_missing_database(
        self, memory_factory: MemoryFactory, written_address: str, raw_store: StoreUnderTest
    ) -> None:
        """A database that is not there is a lasting error, if it is one at all (C18)."""
        url = memory_factory.config["connection_url"]
        path = StoreURL.parse(url).path
        if path in ("", "/"):
            not_applicable("the URL names no database")
        # Another one each time: a pooler that met it before says "try again later".
        missing = f"{written_address}/missing_{token_hex(5)}"
        url = url.replace(written_address + path, missing, 1)
        with suppress(ConfigurationError, StorageError):  # a transient one is a result
            store = store_of(memory_factory.new_workflow(connection_url=url), memory_factory)
            assert store.outcome(store.kinds[0], "read", raw_store.address("k")) is None

    def test_increments_while_connections_break(
        self, proxied_workflow: Workflow, memory: MemoryManager, proxy: Proxy, mode: CallMode
    ) -> None:
        """Of concurrent increments each is applied as often as it was reported (C16)."""
        memory.set("n", 0)
        own, dice = proxied_workflow.memory, Random(16)  # noqa: S311 - only the same in each run
        cuts = [Cut(replies=2 ** dice.randrange(9), times=1) for _ in range(INCREMENTS)]

        def increment(cut: Cut) -> CallPair:
            return CallPair(
                lambda: run_sync(_is_applied(own.increment, proxy, cut)),
                lambda: _is_applied(own.aincrement, proxy, cut),
            )

        outcomes = mode.call_concurrently([increment(cut) for cut in cuts])
        proxy.heal()
        known, unknown = outcomes.count(True), outcomes.count(None)
        assert known <= memory.get("n") <= known + unknown

    def test_close_ends_connections(
        self,
        proxied_workflow: Workflow,
        proxied_store: ProxiedStore,
        raw_store: StoreUnderTest,
        proxy: Proxy,
        mode: CallMode,
    ) -> None:
        """After close no connection is left, not even of calls that failed (C22)."""
        at = raw_store.address("k")
        for kind in mode.kinds:
            proxied_store.connect(at)
            with proxy.fault(BlackHole()):
                proxied_store.outcome(kind, "read", at, deadline=0.1)
        proxied_store.connect(at)
        if isinstance(mode, AsyncMode):
            with proxy.fault(BlackHole()):
                mode.run(lambda: _cancel(proxied_store.attempt_pair(call("read", at), DEADLINE)))
            proxied_store.connect(at)
        close_workflow(proxied_workflow, mode)
        _wait_for_no_connection(proxy, mode)

    def test_ended_loops_leave_no_connection(
        self,
        proxied_workflow: Workflow,
        memory_factory: MemoryFactory,
        raw_store: StoreUnderTest,
        proxy: Proxy,
        mode: CallMode,
    ) -> None:
        """No connection is left of an event loop that ended, nor of any after close (C22)."""
        raw_store.space()
        stores = stores_of(proxied_workflow.memory)

        async def is_async() -> bool:
            return not isinstance(stores.async_store, ThreadPoolStore)

        for number in range(2):
            with mode.new() as own:
                for _ in own.kinds:
                    MemoryUnderTest(proxied_workflow.memory, own).set("k", number)
                # Not in the mixed mode: its sync calls have connections of no loop.
                loop_owns_all = type(own) is AsyncMode and own.run(is_async)
            if loop_owns_all:
                _wait_for_no_connection(proxy, mode)
        close_workflow(proxied_workflow, mode)
        _wait_for_no_connection(proxy, mode)


async def _is_applied(increment: Callable[[str], Any], proxy: Proxy, cut: Cut) -> bool | None:
    """Return whether the increment was applied; None if that is unknown."""
    proxy.begin(cut)
    try:
        result = increment("n")
        if isawaitable(result):
            await result
    except BackendUnavailableError:
        return False
    except OutcomeUnknownError:
        return None
    return True


async def _cancel(pair: CallPair) -> None:
    """Cancel an async call while it waits."""
    task = asyncio.ensure_future(pair.async_call())
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _wait_for_no_connection(proxy: Proxy, mode: CallMode) -> None:
    deadline = monotonic() + 2
    while proxy.open:
        assert monotonic() < deadline, f"{proxy.open} connections are open"
        pause(mode, 0.01)
