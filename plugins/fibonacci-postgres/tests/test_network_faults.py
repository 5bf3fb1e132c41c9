"""Faults of servers, and connections cut within a message: each verb reports what happened."""

import itertools
from collections.abc import Iterable, Iterator

import pytest
from services import postgres
from services.databases import Databases
from services.postgres import Postgres
from services.proxy import Proxy

from fibonacci.errors import BackendUnavailableError, FibonacciError, OutcomeUnknownError
from fibonacci.testing.network import (
    BlackHole,
    Cut,
)

from .stores import READS, VERBS, WRITES, A, Attempt, OpenStore, StorePerVerb

TIMEOUT = 0.55
"""More than GRACE: a call that uses its timeout twice fails the test."""
GRACE = 0.5
"""Seconds beyond the deadline that a call may take (C18)."""
PLENTY = 20.0
"""A timeout in seconds that no call reaches."""
BIND = b"B"
"""The first byte of a request to execute a prepared statement: the Bind message's type."""

Errors = dict[str, type[FibonacciError] | None]

LOST: Errors = {
    verb: OutcomeUnknownError if verb in WRITES else BackendUnavailableError for verb in VERBS
}
"""What each verb raises if its reply is lost."""
UNAVAILABLE: Errors = dict.fromkeys(VERBS, BackendUnavailableError)


def error_types(attempts: dict[str, Attempt]) -> Errors:
    """Return the type of the error that each verb raised."""
    raised = {verb: attempts[verb].error for verb in VERBS}
    return {verb: type(error) if error else None for verb, error in raised.items()}


def seconds(attempts: dict[str, Attempt]) -> list[float]:
    """Return the durations of the verbs in ascending order."""
    return sorted(attempt.seconds for attempt in attempts.values())


class TestNetwork:
    """Connections that break within a message, which a proxy cuts (C18 and C19)."""

    @pytest.mark.parametrize("verb", ["read", "write", "read_many", "compare_and_set"])
    @pytest.mark.parametrize("all_bytes", [False, pytest.param(True, marks=pytest.mark.long)])
    def test_truncated_reply_is_an_error(
        self, open_store: OpenStore, postgres_proxy: Proxy, verb: str, all_bytes: bool
    ) -> None:
        """A reply that is truncated at any byte is an error, never a wrong result (C19)."""
        store = open_store(postgres_proxy.url)
        Attempt(store, verb)
        store.write(A, b"old", None)
        with postgres_proxy.record() as traffic:
            Attempt(store, verb)
        size = len(traffic.replies)
        for offset in range(size) if all_bytes else message_boundaries(traffic.replies):
            Attempt(store, verb)  # prepares the statement on this connection
            store.write(A, b"old", None)
            with postgres_proxy.fault(Cut(replies=offset, reset=bool(offset % 2))):
                attempt = Attempt(store, verb, timeout=PLENTY)
            assert type(attempt.error) is LOST[verb], offset
        assert store.read(A) in (b"old", b"new")

    @pytest.mark.parametrize("step", [29, pytest.param(7, marks=pytest.mark.long)])
    def test_cut_while_connecting_is_unavailable(
        self, open_store: OpenStore, postgres_proxy: Proxy, step: int
    ) -> None:
        """A connection cut at any byte of its start applies nothing (C18)."""
        open_store(postgres_proxy.url).write(A, b"old", None)
        with postgres_proxy.record() as traffic:
            open_store(postgres_proxy.url).write(A, b"old", None)
        startup = itertools.takewhile(
            lambda exchange: not exchange.request.startswith(BIND), traffic.exchanges
        )
        start_bytes = sum(len(exchange.reply) for exchange in startup)
        for offset in range(0, start_bytes, step):
            store = open_store(postgres_proxy.url)
            with postgres_proxy.fault(Cut(replies=offset, reset=bool(offset % 2))):
                attempt = Attempt(store, "write", A, b"new", None)
            assert type(attempt.error) is BackendUnavailableError, offset
            assert store.read(A) == b"old"

    @pytest.mark.parametrize("prepare", [True, False])
    def test_truncated_request_is_unavailable(
        self,
        open_store: OpenStore,
        postgres_proxy: Proxy,
        postgres_server: Databases,
        prepare: bool,
    ) -> None:
        """A write that was not sent completely was not applied: it is unavailable (C18)."""
        store = open_store(postgres_proxy.url, prepare=prepare)
        store.write(A, b"old", None)
        with postgres_proxy.fault(BlackHole()):
            attempt = Attempt(store, "write", A, b"x" * 2**24, None, timeout=TIMEOUT)
        assert type(attempt.error) is BackendUnavailableError
        assert attempt.seconds < TIMEOUT + GRACE
        assert open_store(postgres_server.url).read(A) == b"old"


def message_boundaries(replies: bytes) -> Iterable[int]:
    """Return the offsets around the type, the length and the end of each message."""
    offsets = {0, len(replies) - 1}
    start = 0
    while start < len(replies):
        end = start + 1 + int.from_bytes(replies[start + 1 : start + 5])
        offsets |= {start, start + 1, start + 3, start + 5, end - 1}
        start = end
    return sorted(offset for offset in offsets if offset < len(replies))


@pytest.fixture(scope="module")
def own_server() -> Iterator[Postgres]:
    """A server that the tests may kill."""
    with postgres.standalone() as server:
        yield server


class TestServer:
    """A server that is killed or paused (C18)."""

    @pytest.fixture
    def stores(self, open_store: OpenStore, own_server: Postgres) -> StorePerVerb:
        """A connected store for each verb, with a record."""
        stores = StorePerVerb(open_store, own_server.url)
        stores.prepare()
        return stores

    def test_paused_server_times_out(self, stores: StorePerVerb, own_server: Postgres) -> None:
        """If the server is paused, a call ends at the deadline (C18)."""
        with own_server.paused():
            attempts = stores.attempt(TIMEOUT)
        assert error_types(attempts) == LOST
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        stores.check_recovered()

    def test_paused_server_times_out_while_connecting(
        self, open_store: OpenStore, own_server: Postgres
    ) -> None:
        """If the server is paused, a first call ends at the deadline (C18)."""
        stores = StorePerVerb(open_store, own_server.url)
        with own_server.paused():
            attempts = stores.attempt(TIMEOUT)
        assert error_types(attempts) == UNAVAILABLE
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        stores.check_recovered()

    def test_killed_server_is_unavailable(self, stores: StorePerVerb, own_server: Postgres) -> None:
        """A killed server applies nothing, and the store works again after its restart (C18)."""
        own_server.kill()
        attempts = stores.attempt(PLENTY)
        own_server.start()
        assert error_types(attempts) == UNAVAILABLE
        stores.check_recovered()


def test_all_verbs_are_covered() -> None:
    """READS and WRITES contain all twelve verbs of a store."""
    assert len(READS) + len(WRITES) == 12
