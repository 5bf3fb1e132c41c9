"""Requests and replies that a broken connection loses."""

from collections.abc import Callable
from itertools import product
from typing import Any

import attrs
import pytest

from fibonacci import BackendUnavailableError, MemoryManager, OutcomeUnknownError
from fibonacci.plugin import Address
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.differences import difference
from fibonacci.testing.modes import CallMode
from fibonacci.testing.network import Cut, Proxy, lost_reply, lost_request
from fibonacci.testing.store.fixtures import StoreUnderTest
from fibonacci.testing.store.network_fixtures import NetworkFixtures, ProxiedStore, connect

State = tuple[bytes | None, bool]
"""A record's bytes, and whether it expires."""

BEFORE: State = (b"old", False)


@attrs.frozen
class Change:
    """A method that changes the record of an address."""

    method: str
    arguments: Callable[[Address], tuple[Any, ...]]
    result: Any
    """What it returns if it was applied."""
    after: State

    def possible(self, outcome: Any) -> list[State]:
        """Return the states that an outcome allows."""
        if isinstance(outcome, OutcomeUnknownError):
            return [BEFORE, self.after]
        if isinstance(outcome, BackendUnavailableError):
            return [BEFORE]
        assert outcome == self.result
        return [self.after]


CHANGES = [
    Change("write", lambda at: (at, b"new", None), None, (b"new", False)),
    Change("compare_and_set", lambda at: (at, b"old", b"new", None), True, (b"new", False)),
    Change("remove", lambda at: (at,), True, (None, False)),
    Change("touch", lambda at: (at, 60_000), True, (b"old", True)),
    Change("write_many", lambda at: ([(at, b"new")], 60_000), None, (b"new", True)),
    Change("remove_many", lambda at: ([at],), 1, (None, False)),
    Change("clear", lambda at: (at.space,), None, (None, False)),
]
each_change = pytest.mark.parametrize("change", CHANGES, ids=[each.method for each in CHANGES])

READS: dict[str, Callable[[Address], tuple[Any, ...]]] = {
    "read": lambda at: (at,),
    "read_many": lambda at: ([at, at._replace(key="absent")],),
    "exists": lambda at: (at,),
    "remaining_ttl_ms": lambda at: (at,),
    "scan": lambda at: (at.space,),
}
each_read = pytest.mark.parametrize("method", READS)


class LostReplyTests(NetworkFixtures):
    """C7, C14, C16, C18: broken connections."""

    @each_change
    def test_lost_reply_of_a_change(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy, change: Change
    ) -> None:
        """A change whose reply is lost is sent once, and says whether it was applied (C16, C18)."""
        for kind in proxied_store.kinds:
            self._lose(lost_reply(times=1), kind, change, raw_store, proxied_store, proxy)

    @each_change
    def test_lost_request_of_a_change(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy, change: Change
    ) -> None:
        """A change whose request is lost in whole or in part is not reported as done (C14, C18)."""
        faults = (lost_request(times=1), Cut(requests=5, times=1))
        for fault, kind in product(faults, proxied_store.kinds):
            self._lose(fault, kind, change, raw_store, proxied_store, proxy)

    def test_lost_reply_of_an_increment(
        self, proxied_memory: MemoryManager, memory: MemoryManager, proxy: Proxy, mode: CallMode
    ) -> None:
        """An increment whose reply is lost is applied at most once (C16)."""
        memory.set("n", 10)
        connect(proxied_memory, mode)
        with proxy.record() as traffic:
            proxied_memory.increment("n")
        size = len(traffic.replies)
        # The replies of a read, and of a change.
        for kind, passed in product(mode.kinds, (0, size // 3, size // 2, size - 1)):
            memory.set("n", 10)
            connect(proxied_memory, mode)
            mode.make_next(kind)
            with proxy.fault(Cut(replies=passed, times=1)):
                try:
                    possible = [proxied_memory.increment("n")]
                except OutcomeUnknownError:
                    possible = [10, 11]
            assert memory.get("n") in possible
            assert memory.get("n") <= 11

    def test_lost_reply_of_a_set(
        self, proxied_memory: MemoryManager, proxy: Proxy, mode: CallMode
    ) -> None:
        """A set whose reply is lost is repeated, and succeeds (C18)."""
        connect(proxied_memory, mode)
        for value, kind in enumerate(mode.kinds):
            mode.make_next(kind)
            with proxy.fault(lost_reply(times=1)):
                assert proxied_memory.set("k", value) is True
            assert proxied_memory.get("k") == value

    @each_read
    def test_lost_reply_of_a_read(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy, method: str
    ) -> None:
        """A read whose reply is lost raises BackendUnavailableError: never "absent" (C14, C18)."""
        for kind in proxied_store.kinds:
            at = self._record(raw_store, proxied_store)
            expected = proxied_store.outcome(kind, method, *READS[method](at))
            with proxy.fault(lost_reply(times=1)):
                outcome = proxied_store.outcome(kind, method, *READS[method](at))
            assert isinstance(outcome, BackendUnavailableError) or outcome == expected

    def test_lost_reply_of_a_get(
        self, proxied_memory: MemoryManager, proxy: Proxy, mode: CallMode
    ) -> None:
        """A get whose reply is lost returns the value, and never the default (C14)."""
        connect(proxied_memory, mode)
        for kind in mode.kinds:
            mode.make_next(kind)
            with proxy.fault(lost_reply(times=1)):
                assert proxied_memory.get("k", default="default") == 1
            mode.make_next(kind)
            with proxy.fault(lost_reply(times=1)):
                assert proxied_memory.list_keys() == ["k"]

    @pytest.mark.parametrize("method", ["read", "read_many", "scan"])
    def test_half_a_reply(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy, method: str
    ) -> None:
        """A reply that breaks off anywhere is no reply (C7, C18)."""
        at = self._record(raw_store, proxied_store)
        for number in range(50):
            raw_store.write(at._replace(key=f"{number:04}" * 100), b"x")
        raw_store.write(at, bytes(range(256)) * 200)
        with proxy.record() as traffic:
            expected = proxied_store.outcome(proxied_store.kinds[0], method, *READS[method](at))
        size = len(traffic.replies)
        for kind, passed in product(proxied_store.kinds, (1, size // 3, size // 2, size - 1)):
            proxied_store.connect(at)
            with proxy.fault(Cut(replies=passed, times=1)):
                outcome = proxied_store.outcome(kind, method, *READS[method](at))
            assert isinstance(outcome, BackendUnavailableError) or outcome == expected

    def test_batch_that_breaks_off(
        self, raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
    ) -> None:
        """A batch that breaks off between two of its requests is never reported as done (C17)."""
        items, reply = _batch_of_several_requests(raw_store, proxied_store, proxy)
        addresses = [address for address, _ in items]
        done, undone = [data for _, data in items], [None] * len(items)
        # Twice: now and then the next request is faster than the end.
        for kind in proxied_store.kinds * 2:
            raw_store.remove_many(addresses)
            proxied_store.connect(addresses[0])
            with proxy.fault(Cut(replies=len(reply))):
                outcome = proxied_store.outcome(kind, "write_many", items, None)
            if not isinstance(outcome, OutcomeUnknownError):
                expected = undone if outcome else done
                assert difference(raw_store.read_many(addresses), expected) is None

    def _lose(
        self,
        fault: Cut,
        kind: str,
        change: Change,
        raw_store: StoreUnderTest,
        proxied_store: ProxiedStore,
        proxy: Proxy,
    ) -> None:
        at = self._record(raw_store, proxied_store)
        with proxy.fault(fault):
            outcome = proxied_store.outcome(kind, change.method, *change.arguments(at))
        assert state(raw_store, at) in change.possible(outcome)
        proxied_store.connect(at)

    def _record(self, raw_store: StoreUnderTest, proxied_store: ProxiedStore) -> Address:
        """Write the record, and let the store connect."""
        at = raw_store.address("k")
        raw_store.write(at, b"old")
        proxied_store.connect(at)
        return at


def _batch_of_several_requests(
    raw_store: StoreUnderTest, proxied_store: ProxiedStore, proxy: Proxy
) -> tuple[list[tuple[Address, bytes]], bytes]:
    """Return a batch of which the store makes several requests, and the reply to the first."""
    for count, size in ((30, 1), (100, 100_000)):  # core's largest batch has 100 records
        items = [(raw_store.address(f"{count}-{number}"), b"x" * size) for number in range(count)]
        proxied_store.connect(items[0][0])
        with proxy.record() as traffic:
            proxied_store.write_many(items)
        if traffic.round_trips > 1:
            break
    else:
        not_applicable("a batch is one request")
    return items, bytes(traffic.exchanges[0].reply)


def state(raw_store: StoreUnderTest, at: Address) -> State:
    """Return the record's state."""
    return raw_store.read(at), isinstance(raw_store.remaining_ttl_ms(at), int)
