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

from .speaking import READS, VERBS, WRITES, A, Attempt, Crew, Opening

TIMEOUT = 0.55
"""More than the grace: who takes a deadline's time twice is late."""
GRACE = 0.5
"""Seconds beyond the deadline that a call may take (C18)."""
PLENTY = 20.0
"""Seconds that no call needs."""
BIND = b"B"
"""What a request to run a prepared statement begins with (the protocol's message type)."""

Faults = dict[str, type[FibonacciError] | None]

LOST: Faults = {
    verb: OutcomeUnknownError if verb in WRITES else BackendUnavailableError for verb in VERBS
}
"""What each verb raises when its answer is lost."""
UNAVAILABLE: Faults = dict.fromkeys(VERBS, BackendUnavailableError)
NONE: Faults = dict.fromkeys(VERBS)


def faults(attempts: dict[str, Attempt]) -> Faults:
    """What each verb raised."""
    raised = {verb: attempts[verb].fault for verb in VERBS}
    return {verb: type(fault) if fault else None for verb, fault in raised.items()}


def seconds(attempts: dict[str, Attempt]) -> list[float]:
    """How long the verbs took, the quickest first."""
    return sorted(attempt.seconds for attempt in attempts.values())


class TestNetwork:
    """C18 and C20, through a proxy that fails on purpose."""

    @pytest.fixture
    def crew(self, opening: Opening, postgres_proxy: Proxy) -> Crew:
        """A store for each verb behind the proxy, connected, and holding a record."""
        crew = Crew(opening, postgres_proxy.url)
        crew.prepare()
        return crew

    def test_reply_lost(self, crew: Crew, postgres_proxy: Proxy) -> None:
        """A lost answer leaves the outcome of a write unknown, and a read undone (C18)."""
        with postgres_proxy.fault(lost_reply()):
            attempts = crew.attempt(PLENTY)
        assert faults(attempts) == LOST
        assert seconds(attempts)[-1] < PLENTY
        crew.go_on()

    def test_request_lost(self, crew: Crew, postgres_proxy: Proxy) -> None:
        """A request that was swallowed looks the same as a lost answer (C18)."""
        with postgres_proxy.fault(lost_request(reset=True)):
            attempts = crew.attempt(PLENTY)
        assert faults(attempts) == LOST
        crew.go_on()

    def test_black_hole(self, crew: Crew, postgres_proxy: Proxy) -> None:
        """A network that swallows everything is noticed at the deadline (C18)."""
        with postgres_proxy.fault(BlackHole()):
            attempts = crew.attempt(TIMEOUT)
        assert faults(attempts) == LOST
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        crew.go_on()

    def test_black_hole_while_connecting(self, opening: Opening, postgres_proxy: Proxy) -> None:
        """Connecting is inside the deadline, and nothing is applied before (C18)."""
        crew = Crew(opening, postgres_proxy.url)
        with postgres_proxy.fault(BlackHole()):
            attempts = crew.attempt(TIMEOUT)
        assert faults(attempts) == UNAVAILABLE
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        crew.go_on()

    def test_trickle(self, crew: Crew, postgres_proxy: Proxy) -> None:
        """An answer that comes a byte at a time does not outlast the deadline (C18)."""
        with postgres_proxy.fault(Trickle(rate=10)):  # the shortest answer has twenty bytes
            attempts = crew.attempt(TIMEOUT)
        assert faults(attempts) == LOST
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        crew.go_on()

    def test_refused(self, crew: Crew, postgres_proxy: Proxy) -> None:
        """Where nobody listens any more, nothing is applied, and that shows at once (C18)."""
        with postgres_proxy.fault(Refuse()):
            attempts = crew.attempt(PLENTY)
        assert faults(attempts) == UNAVAILABLE
        assert seconds(attempts)[-1] < PLENTY
        crew.go_on()

    def test_reset(self, crew: Crew, postgres_proxy: Proxy) -> None:
        """Connections that are reset while idle cost no write its outcome (C18)."""
        with postgres_proxy.fault(Reset()):
            attempts = crew.attempt(PLENTY)
        assert faults(attempts) == UNAVAILABLE
        crew.go_on()

    @pytest.mark.parametrize("reset", [False, True])
    def test_idle_connections_end(self, crew: Crew, postgres_proxy: Proxy, reset: bool) -> None:
        """A connection that ended while it was idle is replaced, and nobody notices (C20)."""
        postgres_proxy.drop(reset=reset)
        assert faults(crew.attempt(PLENTY)) == NONE

    @pytest.mark.parametrize("verb", ["read", "write", "read_many", "compare_and_set"])
    @pytest.mark.parametrize("all_bytes", [False, pytest.param(True, marks=pytest.mark.long)])
    def test_cut_anywhere(
        self, opening: Opening, postgres_proxy: Proxy, verb: str, all_bytes: bool
    ) -> None:
        """An answer that is cut off at any byte is no answer, and none is mistaken for it (C19)."""
        store = opening(postgres_proxy.url)
        Attempt(store, verb)
        store.write(A, b"old", None)
        with postgres_proxy.record() as traffic:
            Attempt(store, verb)
        size = len(traffic.replies)
        for offset in range(size) if all_bytes else joints(traffic.replies):
            Attempt(store, verb)  # prepares the statement on this connection
            store.write(A, b"old", None)
            with postgres_proxy.fault(Cut(replies=offset, reset=bool(offset % 2))):
                attempt = Attempt(store, verb, timeout=PLENTY)
            assert type(attempt.fault) is LOST[verb], offset
        assert store.read(A) in (b"old", b"new")

    @pytest.mark.parametrize("step", [29, pytest.param(7, marks=pytest.mark.long)])
    def test_cut_while_connecting(self, opening: Opening, postgres_proxy: Proxy, step: int) -> None:
        """A connection that is cut off at any byte of its beginning applies nothing (C18)."""
        opening(postgres_proxy.url).write(A, b"old", None)
        with postgres_proxy.record() as traffic:
            opening(postgres_proxy.url).write(A, b"old", None)
        before = itertools.takewhile(
            lambda one: not one.request.startswith(BIND), traffic.exchanges
        )
        beginning = sum(len(one.reply) for one in before)
        for offset in range(0, beginning, step):
            store = opening(postgres_proxy.url)
            with postgres_proxy.fault(Cut(replies=offset, reset=bool(offset % 2))):
                attempt = Attempt(store, "write", A, b"new", None)
            assert type(attempt.fault) is BackendUnavailableError, offset
            assert store.read(A) == b"old"

    def test_request_cut_off(
        self, opening: Opening, postgres_proxy: Proxy, postgres_server: Databases
    ) -> None:
        """A write that was cut off on its way out was surely not applied, and says so (C18)."""
        store = opening(postgres_proxy.url)
        store.write(A, b"old", None)
        with postgres_proxy.fault(BlackHole()):
            attempt = Attempt(store, "write", A, b"x" * 2**24, None, timeout=TIMEOUT)
        assert type(attempt.fault) is BackendUnavailableError
        assert attempt.seconds < TIMEOUT + GRACE
        assert opening(postgres_server.url).read(A) == b"old"


def joints(replies: bytes) -> Iterable[int]:
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
    def crew(self, opening: Opening, own_server: Postgres) -> Crew:
        """A store for each verb, connected, and holding a record."""
        crew = Crew(opening, own_server.url)
        crew.prepare()
        return crew

    def test_stopped(self, crew: Crew, own_server: Postgres) -> None:
        """A server that hangs is noticed at the deadline (C18)."""
        own_server.pause()
        try:
            attempts = crew.attempt(TIMEOUT)
        finally:
            own_server.resume()
        assert faults(attempts) == LOST
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        crew.go_on()

    def test_stopped_before(self, opening: Opening, own_server: Postgres) -> None:
        """So it is by a store that connects to it for the first time (C18)."""
        crew = Crew(opening, own_server.url)
        own_server.pause()
        try:
            attempts = crew.attempt(TIMEOUT)
        finally:
            own_server.resume()
        assert faults(attempts) == UNAVAILABLE
        assert seconds(attempts)[0] >= TIMEOUT
        assert seconds(attempts)[-1] < TIMEOUT + GRACE
        crew.go_on()

    def test_killed(self, crew: Crew, own_server: Postgres) -> None:
        """A server that was killed applies nothing; the store goes on when it is back (C18)."""
        own_server.kill()
        attempts = crew.attempt(PLENTY)
        own_server.start()
        assert faults(attempts) == UNAVAILABLE
        crew.go_on()

    def test_restarted(self, crew: Crew, own_server: Postgres) -> None:
        """A restart costs nobody an error: its idle connections are known to be closed (C20)."""
        own_server.restart()
        assert faults(crew.attempt(PLENTY)) == NONE


def test_the_lists_are_complete() -> None:
    """No verb of a store is missing here."""
    assert len(READS) + len(WRITES) == 12
