"""Faults of servers and networks: each verb ends in time, says the truth, and works again after."""

import itertools
from collections.abc import Iterable, Iterator

import pytest
from services import postgres
from services.databases import Databases
from services.faults import BlackHole, Cut, Refuse, Reset, Trickle, lost_reply, lost_request
from services.postgres import Postgres
from services.proxy import Proxy

from fibonacci.errors import BackendUnavailableError, FibonacciError, OutcomeUnknownError

from .stores import READS, VERBS, WRITES, A, Attempt, OpenStore, StorePerVerb

TIMEOUT = 0.55
"""More than the grace: who takes a deadline's time twice is late."""
GRACE = 0.5
"""Seconds beyond the deadline that a call may take (C18)."""
PLENTY = 20.0
"""Seconds that no call needs."""
BIND = b"B"
"""What a request to run a prepared statement begins with (the protocol's message type)."""

Errors = dict[str, type[FibonacciError] | None]

LOST: Errors = {
    verb: OutcomeUnknownError if verb in WRITES else BackendUnavailableError for verb in VERBS
}
"""What each verb raises when its answer is lost."""
UNAVAILABLE: Errors = dict.fromkeys(VERBS, BackendUnavailableError)
NONE: Errors = dict.fromkeys(VERBS)


def error_types(attempts: dict[str, Attempt]) -> Errors:
    """What each verb raised."""
    raised = {verb: attempts[verb].error for verb in VERBS}
    return {verb: type(error) if error else None for verb, error in raised.items()}


def seconds(attempts: dict[str, Attempt]) -> list[float]:
    """How long the verbs took, the quickest first."""
    return sorted(attempt.seconds for attempt in attempts.values())


class TestNetwork:
    """C18 and C20, through a proxy that fails on purpose."""

    @pytest.fixture
    def stores(self, open_store: OpenStore, postgres_proxy: Proxy) -> StorePerVerb:
        """A store for each verb behind the proxy, connected, and holding a record."""
        stores = StorePerVerb(open_store, postgres_proxy.url)
        stores.prepare()
        return stores

    def test_reply_lost(self, stores: StorePerVerb, postgres_proxy: Proxy) -> None:
        """A lost answer leaves the outcome of a write unknown, and a read undone (C18)."""
        with postgres_proxy.fault(lost_reply()):
            attempts = stores.attempt(PLENTY)
        assert error_types(attempts) == LOST
        assert seconds(attempts)[-1] < PLENTY
        stores.check_recovered()

    def test_request_lost(self, stores: StorePerVerb, postgres_proxy: Proxy) -> None:
        """A request that was swallowed looks the same as a lost answer (C18)."""
        with postgres_proxy.fault(lost_request(reset=True)):
            attempts = stores.attempt(PLENTY)
        assert error_types(attempts) == LOST
        stores.check_recovered()

    def test_black_hole(self, stores: StorePerVerb, postgres_proxy: Proxy) -> None:
        """A network that swallows everything is noticed at the deadline (C18)."""
        with postgres_proxy.fault(BlackHole()):
            attempts = stores.attempt(TIMEOUT)
        assert error_types(attempts) == LOST
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        stores.check_recovered()

    def test_black_hole_while_connecting(
        self, open_store: OpenStore, postgres_proxy: Proxy
    ) -> None:
        """Connecting is inside the deadline, and nothing is applied before (C18)."""
        stores = StorePerVerb(open_store, postgres_proxy.url)
        with postgres_proxy.fault(BlackHole()):
            attempts = stores.attempt(TIMEOUT)
        assert error_types(attempts) == UNAVAILABLE
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        stores.check_recovered()

    def test_trickle(self, stores: StorePerVerb, postgres_proxy: Proxy) -> None:
        """An answer that comes a byte at a time does not outlast the deadline (C18)."""
        with postgres_proxy.fault(Trickle(rate=10)):  # the shortest answer has twenty bytes
            attempts = stores.attempt(TIMEOUT)
        assert error_types(attempts) == LOST
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        stores.check_recovered()

    def test_refused(self, stores: StorePerVerb, postgres_proxy: Proxy) -> None:
        """Where nobody listens any more, nothing is applied, and that shows at once (C18)."""
        with postgres_proxy.fault(Refuse()):
            attempts = stores.attempt(PLENTY)
        assert error_types(attempts) == UNAVAILABLE
        assert seconds(attempts)[-1] < PLENTY
        stores.check_recovered()

    def test_reset(self, stores: StorePerVerb, postgres_proxy: Proxy) -> None:
        """Connections that are reset while idle cost no write its outcome (C18)."""
        with postgres_proxy.fault(Reset()):
            attempts = stores.attempt(PLENTY)
        assert error_types(attempts) == UNAVAILABLE
        stores.check_recovered()

    @pytest.mark.parametrize("reset", [False, True])
    def test_idle_connections_end(
        self, stores: StorePerVerb, postgres_proxy: Proxy, reset: bool
    ) -> None:
        """A connection that ended while it was idle is replaced, and nobody notices (C20)."""
        postgres_proxy.drop(reset=reset)
        assert error_types(stores.attempt(PLENTY)) == NONE

    @pytest.mark.parametrize("verb", ["read", "write", "read_many", "compare_and_set"])
    @pytest.mark.parametrize("all_bytes", [False, pytest.param(True, marks=pytest.mark.long)])
    def test_cut_anywhere(
        self, open_store: OpenStore, postgres_proxy: Proxy, verb: str, all_bytes: bool
    ) -> None:
        """An answer that is cut off at any byte is no answer, and none is mistaken for it (C19)."""
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
    def test_cut_while_connecting(
        self, open_store: OpenStore, postgres_proxy: Proxy, step: int
    ) -> None:
        """A connection that is cut off at any byte of its beginning applies nothing (C18)."""
        open_store(postgres_proxy.url).write(A, b"old", None)
        with postgres_proxy.record() as traffic:
            open_store(postgres_proxy.url).write(A, b"old", None)
        before = itertools.takewhile(
            lambda exchange: not exchange.request.startswith(BIND), traffic.exchanges
        )
        beginning = sum(len(exchange.reply) for exchange in before)
        for offset in range(0, beginning, step):
            store = open_store(postgres_proxy.url)
            with postgres_proxy.fault(Cut(replies=offset, reset=bool(offset % 2))):
                attempt = Attempt(store, "write", A, b"new", None)
            assert type(attempt.error) is BackendUnavailableError, offset
            assert store.read(A) == b"old"

    def test_request_cut_off(
        self, open_store: OpenStore, postgres_proxy: Proxy, postgres_server: Databases
    ) -> None:
        """A write that was cut off on its way out was surely not applied, and says so (C18)."""
        store = open_store(postgres_proxy.url)
        store.write(A, b"old", None)
        with postgres_proxy.fault(BlackHole()):
            attempt = Attempt(store, "write", A, b"x" * 2**24, None, timeout=TIMEOUT)
        assert type(attempt.error) is BackendUnavailableError
        assert attempt.seconds < TIMEOUT + GRACE
        assert open_store(postgres_server.url).read(A) == b"old"


def message_boundaries(replies: bytes) -> Iterable[int]:
    """Where to cut: around the type, the length and the end of each of the server's messages."""
    offsets = {0, len(replies) - 1}
    start = 0
    while start < len(replies):
        end = start + 1 + int.from_bytes(replies[start + 1 : start + 5])
        offsets |= {start, start + 1, start + 3, start + 5, end - 1}
        start = end
    return sorted(offset for offset in offsets if offset < len(replies))


@pytest.fixture(scope="module")
def own_server() -> Iterator[Postgres]:
    """A server that may be killed."""
    with postgres.standalone() as server:
        yield server


class TestServer:
    """C18 and C20, on a server that dies, hangs and comes back."""

    @pytest.fixture
    def stores(self, open_store: OpenStore, own_server: Postgres) -> StorePerVerb:
        """A store for each verb, connected, and holding a record."""
        stores = StorePerVerb(open_store, own_server.url)
        stores.prepare()
        return stores

    def test_stopped(self, stores: StorePerVerb, own_server: Postgres) -> None:
        """A server that hangs is noticed at the deadline (C18)."""
        own_server.pause()
        try:
            attempts = stores.attempt(TIMEOUT)
        finally:
            own_server.resume()
        assert error_types(attempts) == LOST
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        stores.check_recovered()

    def test_stopped_before(self, open_store: OpenStore, own_server: Postgres) -> None:
        """So it is by a store that connects to it for the first time (C18)."""
        stores = StorePerVerb(open_store, own_server.url)
        own_server.pause()
        try:
            attempts = stores.attempt(TIMEOUT)
        finally:
            own_server.resume()
        assert error_types(attempts) == UNAVAILABLE
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        stores.check_recovered()

    def test_killed(self, stores: StorePerVerb, own_server: Postgres) -> None:
        """A server that was killed applies nothing; the store goes on when it is back (C18)."""
        own_server.kill()
        attempts = stores.attempt(PLENTY)
        own_server.start()
        assert error_types(attempts) == UNAVAILABLE
        stores.check_recovered()

    def test_restarted(self, stores: StorePerVerb, own_server: Postgres) -> None:
        """A restart costs nobody an error: its idle connections are known to be closed (C20)."""
        own_server.restart()
        assert error_types(stores.attempt(PLENTY)) == NONE


def test_the_lists_are_complete() -> None:
    """No verb of a store is missing here."""
    assert len(READS) + len(WRITES) == 12
