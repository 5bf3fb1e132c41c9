"""Servers that are silent, slow or away: each call ends by its deadline."""

import asyncio
from collections.abc import Sequence
from itertools import product

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import Address
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.modes import AsyncMode, CallMode
from fibonacci.testing.network import BlackHole, Proxy, Refuse, Trickle
from fibonacci.testing.network.listener import silent_port
from fibonacci.testing.store.fixtures import MemoryFactory, MethodCall, StoreUnderTest, call
from fibonacci.testing.store.network_fixtures import (
    DEADLINE,
    LIMIT,
    NetworkFixtures,
    Outcome,
    ProxiedStore,
    store_of,
)
from fibonacci.testing.store.network_replies import CHANGES, state

SHORT = 0.15
"""Seconds in which a request reaches the server."""
LARGE = b"x" * 2_000
"""More than any server's reply to a change."""
READS = ("read", "read_many", "exists", "remaining_ttl_ms", "scan")


class DeadlineTests(NetworkFixtures):
    """C18 and C21: calls without an answer."""

    def test_silent_server(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
    ) -> None:
        """Each method ends by its deadline if the server falls silent (C18)."""
        at = _record(raw_store)
        proxied_store.connect(at)
        with proxy.fault(BlackHole()):
            _check_late(proxied_store.outcomes([*_reads(at), *_changes(at)]))
        assert proxied_store.read(at) == LARGE

    def test_changes_in_flight(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
    ) -> None:
        """A change that was sent when its deadline passed is not reported as not applied (C18)."""
        at = raw_store.address("k")
        for change, kind in product(CHANGES, proxied_store.kinds):
            raw_store.write(at, b"old")
            proxied_store.connect(at)
            with proxy.fault(BlackHole(requests=False)):
                outcome = proxied_store.outcome(
                    kind, change.method, *change.arguments(at), deadline=SHORT
                )
            assert state(raw_store, at) in change.possible(outcome)

    def test_silent_server_at_first(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
    ) -> None:
        """The first call ends by its deadline if the server never says a word (C18)."""
        at = _record(raw_store)
        with proxy.fault(BlackHole()):
            _check_late(proxied_store.outcomes([call("read", at), call("write", at, b"", None)]))

    def test_trickling_replies(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
    ) -> None:
        """A reply that arrives byte by byte, each in time, ends by the deadline, too (C18)."""
        at = _record(raw_store)
        proxied_store.connect(at)
        calls = [
            *_reads(at)[:2],
            *_changes(at)[:3],
            call("scan", at.space),
        ]
        with proxy.fault(Trickle(rate=5)):
            outcomes = proxied_store.outcomes(calls)
        _check_late(outcomes[:2])
        assert {one.method: one.seconds for one in outcomes if one.seconds > LIMIT} == {}

    def test_connection_is_never_made(
        self,
        memory_factory: MemoryFactory,
        proxied_url: str,
        proxy: Proxy,
        raw_store: StoreUnderTest,
    ) -> None:
        """A connection that is never made ends by the deadline: surely not applied (C18)."""
        with silent_port(proxy.host) as port:
            url = proxied_url.replace(f":{proxy.port}", f":{port}", 1)
            store = store_of(memory_factory.new_workflow(connection_url=url), memory_factory)
            _check_not_applied(store.outcomes(_changes(raw_store.address("k"))))

    def test_refused_connection(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
    ) -> None:
        """A connection that is refused is reported by the deadline: surely not applied (C18)."""
        at = _record(raw_store)
        with proxy.fault(Refuse()):
            _check_not_applied(proxied_store.outcomes([*_reads(at), *_changes(at)]))
        assert proxied_store.read(at) == LARGE

    def test_event_loop_goes_on(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy, mode: CallMode
    ) -> None:
        """While a server is silent the event loop runs other tasks (C21)."""
        if not isinstance(mode, AsyncMode):
            not_applicable("sync code has no event loop")
        at = _record(raw_store)
        proxied_store.connect(at)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        async def read() -> None:
            ticking = asyncio.create_task(tick())
            await proxied_store.attempt_pair(call("read", at), DEADLINE).async_call()
            ticking.cancel()

        with proxy.fault(BlackHole()):
            mode.run(read)
        assert ticks >= 3


def _record(raw_store: StoreUnderTest) -> Address:
    at = raw_store.address("k")
    raw_store.write(at, LARGE)
    return at


def _reads(at: Address) -> list[MethodCall]:
    return [
        call("read", at),
        call("read_many", [at]),
        call("exists", at),
        call("remaining_ttl_ms", at),
        call("scan", at.space),
    ]


def _changes(at: Address) -> list[MethodCall]:
    """Return calls that change nothing if they are applied late."""
    other = at._replace(key="other")
    return [
        call("write", at, LARGE, None),
        call("compare_and_set", at, LARGE, LARGE, None),
        call("write_many", [(at, LARGE)], None),
        call("compare_and_set", other, LARGE, b"", None),
        call("remove", other),
        call("touch", at, None),
        call("remove_many", [other]),
        call("clear", at.space._replace(owner="other")),
    ]


def _check_late(outcomes: Sequence[Outcome]) -> None:
    """Check that each call raised by its deadline what it may raise."""
    for outcome in outcomes:
        unknown = () if outcome.method in READS else (OutcomeUnknownError,)
        assert isinstance(outcome.result, (BackendUnavailableError, *unknown)), outcome
        assert outcome.seconds < LIMIT, outcome


def _check_not_applied(outcomes: Sequence[Outcome]) -> None:
    """Check that each call raised by its deadline that it was not applied."""
    for outcome in outcomes:
        assert isinstance(outcome.result, BackendUnavailableError), outcome
        assert outcome.seconds < LIMIT, outcome
