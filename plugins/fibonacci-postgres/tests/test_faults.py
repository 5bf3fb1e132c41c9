"""Faults of servers and networks: each verb ends in time, says the truth, and works again after."""

import itertools
import time
from collections.abc import Iterator

import pytest
from services import postgres
from services.databases import Databases
from services.faults import BlackHole, Cut, Refuse, Reset, Trickle, lost_reply, lost_request
from services.postgres import Postgres
from services.proxy import Proxy

from fibonacci.errors import BackendUnavailableError, FibonacciError, OutcomeUnknownError

from .speaking import READS, VERBS, WRITES, A, Attempt, Opening, Speaker

TIMEOUT = 0.5
GRACE = 0.5
"""Seconds beyond the deadline that a call may take (C18)."""
BIND = b"B"
"""What a request to run a prepared statement begins with (the protocol's message type)."""
RECOVERY = 1.0
"""Seconds after which the same store works again, once the server does."""


@pytest.fixture
def store(opening: Opening, postgres_proxy: Proxy) -> Speaker:
    """A store behind the proxy that is connected, and holds a record."""
    store = opening(postgres_proxy.url, timeout=TIMEOUT)
    prepared(store)
    return store


def prepared(store: Speaker) -> None:
    """Have the store connect, prepare every statement, and hold one record."""
    for verb in VERBS:
        Attempt(store, verb)
    store.write(A, b"old", None)


def recovers(store: Speaker) -> None:
    """The same object works again within a second."""
    end = time.monotonic() + RECOVERY
    while True:
        try:
            store.write(A, b"old", None)
            # What the network held back may arrive only now.
            assert store.read(A) in (b"old", b"new", None)
        except FibonacciError:
            assert time.monotonic() < end
            time.sleep(0.02)
        else:
            return


def lost(verb: str) -> type[FibonacciError]:
    """What a verb raises when its answer is lost."""
    return OutcomeUnknownError if verb in WRITES else BackendUnavailableError


class TestNetwork:
    """C18 and C20, through a proxy that fails on purpose."""

    def test_reply_lost(self, store: Speaker, postgres_proxy: Proxy, verb: str) -> None:
        """A lost answer leaves the outcome of a write unknown, and a read undone (C18)."""
        with postgres_proxy.fault(lost_reply()):
            attempt = Attempt(store, verb)
        assert type(attempt.fault) is lost(verb)
        assert attempt.seconds < TIMEOUT + GRACE
        recovers(store)

    def test_request_lost(self, store: Speaker, postgres_proxy: Proxy, verb: str) -> None:
        """A request that was swallowed looks the same as a lost answer (C18)."""
        with postgres_proxy.fault(lost_request(reset=True)):
            attempt = Attempt(store, verb)
        assert type(attempt.fault) is lost(verb)
        recovers(store)

    def test_black_hole(self, store: Speaker, postgres_proxy: Proxy, verb: str) -> None:
        """A network that swallows everything is noticed at the deadline (C18)."""
        with postgres_proxy.fault(BlackHole()):
            attempt = Attempt(store, verb)
        assert type(attempt.fault) is lost(verb)
        assert TIMEOUT <= attempt.seconds < TIMEOUT + GRACE
        recovers(store)

    def test_black_hole_while_connecting(
        self, opening: Opening, postgres_proxy: Proxy, verb: str
    ) -> None:
        """Connecting is inside the deadline, and nothing is applied before (C18)."""
        store = opening(postgres_proxy.url, timeout=TIMEOUT)
        with postgres_proxy.fault(BlackHole()):
            attempt = Attempt(store, verb)
        assert type(attempt.fault) is BackendUnavailableError
        assert TIMEOUT <= attempt.seconds < TIMEOUT + GRACE
        recovers(store)

    def test_trickle(self, store: Speaker, postgres_proxy: Proxy, verb: str) -> None:
        """An answer that comes a byte at a time does not outlast the deadline (C18)."""
        store.write(A, b"old" * 100, None)
        with postgres_proxy.fault(Trickle(rate=20)):
            attempt = Attempt(store, verb)
        assert type(attempt.fault) is lost(verb)
        assert attempt.seconds < TIMEOUT + GRACE
        recovers(store)

    def test_refused(self, store: Speaker, postgres_proxy: Proxy, verb: str) -> None:
        """Where nobody listens any more, nothing is applied, and that shows at once (C18)."""
        with postgres_proxy.fault(Refuse()):
            time.sleep(0.02)  # the end of the old connection is under way
            attempt = Attempt(store, verb)
        assert type(attempt.fault) is BackendUnavailableError
        assert attempt.seconds < TIMEOUT
        recovers(store)

    def test_reset(self, store: Speaker, postgres_proxy: Proxy, verb: str) -> None:
        """Connections that are reset while idle cost no write its outcome (C18)."""
        with postgres_proxy.fault(Reset()):
            time.sleep(0.02)
            attempt = Attempt(store, verb)
        assert type(attempt.fault) is BackendUnavailableError
        recovers(store)

    def test_idle_connections_end(self, opening: Opening, postgres_proxy: Proxy, verb: str) -> None:
        """A connection that ended while it was idle is replaced, and nobody notices (C20)."""
        store = opening(postgres_proxy.url)
        prepared(store)
        for reset in (False, True):
            postgres_proxy.drop(reset=reset)
            time.sleep(0.02)
            assert Attempt(store, verb).fault is None

    @pytest.mark.parametrize("verb", ["read", "write", "read_many", "compare_and_set"])
    def test_cut_anywhere(self, store: Speaker, postgres_proxy: Proxy, verb: str) -> None:
        """An answer that is cut off at any byte is no answer, and none is mistaken for it (C19)."""
        store.write(A, b"old", None)
        with postgres_proxy.record() as traffic:
            Attempt(store, verb)
        for offset in range(len(traffic.replies)):
            Attempt(store, verb)  # prepares the statement on this connection
            store.write(A, b"old", None)
            with postgres_proxy.fault(Cut(replies=offset, reset=bool(offset % 2))):
                attempt = Attempt(store, verb)
            assert type(attempt.fault) is lost(verb), offset
        assert store.read(A) in (b"old", b"new")

    def test_cut_while_connecting(self, opening: Opening, postgres_proxy: Proxy) -> None:
        """A connection that is cut off at any byte of its beginning applies nothing (C18)."""
        opening(postgres_proxy.url).write(A, b"old", None)
        with postgres_proxy.record() as traffic:
            opening(postgres_proxy.url).write(A, b"old", None)
        before = itertools.takewhile(
            lambda one: not one.request.startswith(BIND), traffic.exchanges
        )
        beginning = sum(len(one.reply) for one in before)
        for offset in range(0, beginning, 7):
            store = opening(postgres_proxy.url)
            with postgres_proxy.fault(Cut(replies=offset, reset=bool(offset % 2))):
                attempt = Attempt(store, "write", A, b"new", None)
            assert type(attempt.fault) is BackendUnavailableError, offset
            assert store.read(A) == b"old"

    def test_request_cut_off(
        self, store: Speaker, opening: Opening, postgres_proxy: Proxy, postgres_server: Databases
    ) -> None:
        """A write that was cut off on its way out was surely not applied, and says so (C18)."""
        with postgres_proxy.fault(BlackHole()):
            attempt = Attempt(store, "write", A, b"x" * 2**24, None)
        assert type(attempt.fault) is BackendUnavailableError
        assert attempt.seconds < TIMEOUT + GRACE
        assert opening(postgres_server.url).read(A) == b"old"


@pytest.fixture(scope="module")
def own_server() -> Iterator[Postgres]:
    """A server that may be killed."""
    with postgres.standalone() as server:
        yield server


class TestServer:
    """C18 and C20, on a server that dies, hangs and comes back."""

    @pytest.fixture
    def store(self, opening: Opening, own_server: Postgres) -> Speaker:
        """A store that is connected, and holds a record."""
        store = opening(own_server.url, timeout=TIMEOUT)
        prepared(store)
        return store

    def test_stopped(self, store: Speaker, own_server: Postgres, verb: str) -> None:
        """A server that hangs is noticed at the deadline (C18)."""
        own_server.pause()
        try:
            attempt = Attempt(store, verb)
        finally:
            own_server.resume()
        assert type(attempt.fault) is lost(verb)
        assert TIMEOUT <= attempt.seconds < TIMEOUT + GRACE
        recovers(store)

    @pytest.mark.parametrize("verb", ["read", "write"])
    def test_stopped_before(self, opening: Opening, own_server: Postgres, verb: str) -> None:
        """So it is by a store that connects to it for the first time (C18)."""
        store = opening(own_server.url, timeout=TIMEOUT)
        own_server.pause()
        try:
            attempt = Attempt(store, verb)
        finally:
            own_server.resume()
        assert type(attempt.fault) is BackendUnavailableError
        assert attempt.seconds < TIMEOUT + GRACE
        recovers(store)

    @pytest.mark.parametrize("verb", ["read", "write", "compare_and_set", "scan"])
    def test_killed(self, store: Speaker, own_server: Postgres, verb: str) -> None:
        """A server that was killed applies nothing; the store goes on when it is back (C18)."""
        own_server.kill()
        time.sleep(0.1)  # its children die a little later
        attempt = Attempt(store, verb)
        own_server.start()
        assert type(attempt.fault) is BackendUnavailableError
        recovers(store)

    @pytest.mark.parametrize("verb", list(VERBS))
    def test_restarted(self, store: Speaker, own_server: Postgres, verb: str) -> None:
        """A restart costs nobody an error: its idle connections are known to be closed (C20)."""
        own_server.restart()
        assert Attempt(store, verb).fault is None


def test_the_lists_are_complete() -> None:
    """No verb of a store is missing here."""
    assert len(READS) + len(WRITES) == 12
