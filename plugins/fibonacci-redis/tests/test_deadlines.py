"""Servers that are gone, stopped, cut off or slow: every verb ends in time."""

import contextlib
import functools
import math
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from services import valkey
from services.proxy import Proxy
from services.standalone import Standalone

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci.testing.network import BlackHole, Delay, Trickle
from fibonacci.testing.threads import run_concurrently
from fibonacci_redis import blocking_node

TIMEOUT = 0.55
"""More than the grace: a call that takes its timeout twice is late."""
GRACE = 0.5
"""Seconds beyond the deadline that a call may take (C18)."""
PLENTY = 20.0
"""Seconds that no call needs."""

Call = Callable[..., Any]
Verb = Callable[[Call, Space], Any]


def key(space: Space) -> Address:
    return Address(space, "k")


def other(space: Space) -> Address:
    return Address(space, "other")


READS: dict[str, Verb] = {
    "read": lambda client, space: client("read", key(space)),
    "exists": lambda client, space: client("exists", key(space)),
    "remaining_ttl_ms": lambda client, space: client("remaining_ttl_ms", key(space)),
    "read_many": lambda client, space: client("read_many", [key(space), other(space)]),
    "scan": lambda client, space: client("scan", space),
}
WRITES: dict[str, Verb] = {
    "write": lambda client, space: client("write", key(space), b"2", None),
    "write, large": lambda client, space: client("write", key(space), b"2" * 8_000_000, None),
    "add": lambda client, space: client("compare_and_set", other(space), ABSENT, b"2", None),
    "cas": lambda client, space: client("compare_and_set", key(space), b"1", b"2", KEEP_TTL),
    "remove": lambda client, space: client("remove", key(space)),
    "touch": lambda client, space: client("touch", key(space), 60_000),
    "write_many": lambda client, space: client(
        "write_many", [(key(space), b"2"), (other(space), b"2")], None
    ),
    "remove_many": lambda client, space: client("remove_many", [key(space), other(space)]),
    "clear": lambda client, space: client("clear", space),
}
VERBS = READS | WRITES
SPACE = Space("t:late:", "workflow", "w")
KEY = key(SPACE)


@pytest.fixture(scope="module")
def server() -> Iterator[Standalone]:
    """A server of this module, which tests kill and stop."""
    with valkey.standalone() as own:
        yield own


@pytest.fixture
def proxy(server: Standalone) -> Iterator[Proxy]:
    with Proxy(server) as proxy:
        yield proxy


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail unless the block ends in so many seconds."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


class StoresOfVerbs:
    """A store with its own space for each verb: all verbs meet a fault at the same time."""

    def __init__(self, open_client: Any, url: str) -> None:
        self.spaces = {verb: Space("t:late:", "workflow", verb) for verb in VERBS}
        self.stores = {verb: open_client(url) for verb in VERBS}
        for verb, client in self.stores.items():
            client.clear(self.spaces[verb])
            client("write", key(self.spaces[verb]), b"1", None)

    def call_all(self, timeout: float) -> dict[str, Exception | None]:
        """Call all verbs, check that each ends in time, and return their errors."""
        errors: dict[str, Exception | None] = {}

        def work(verb: str) -> None:
            client = self.stores[verb]
            with within(timeout + GRACE):
                try:
                    VERBS[verb](functools.partial(client, timeout=timeout), self.spaces[verb])
                except (BackendUnavailableError, OutcomeUnknownError) as error:
                    errors[verb] = error
                else:
                    errors[verb] = None

        run_concurrently([lambda verb=verb: work(verb) for verb in VERBS])
        return errors

    def check_recovery(self) -> None:
        """Check that the same stores work again at the first attempt."""
        for verb, client in self.stores.items():
            client("write", key(self.spaces[verb]), b"3", None)
            assert client("read", key(self.spaces[verb])) == b"3", verb


def check_outcomes(
    errors: dict[str, Exception | None], stores: StoresOfVerbs, watcher: Any
) -> None:
    """Check that every verb raised, and that what was reported as not applied was not applied."""
    for verb, error in errors.items():
        assert error is not None, verb
        assert verb in WRITES or isinstance(error, BackendUnavailableError), verb
        if isinstance(error, BackendUnavailableError):
            assert watcher("read", key(stores.spaces[verb])) == b"1", verb
            assert watcher("read", other(stores.spaces[verb])) is None, verb


FAULTS = {
    "no reply passes": BlackHole(requests=False),
    "slow": Delay(replies=10.0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verb_without_a_reply_ends_by_its_deadline(
    fault: str, open_client: Any, proxy: Proxy, server: Standalone
) -> None:
    """A verb without a reply ends by its deadline, and the next one works (C18, C19)."""
    stores, watcher = StoresOfVerbs(open_client, proxy.url), open_client(server.url)
    with proxy.fault(FAULTS[fault]):
        check_outcomes(stores.call_all(TIMEOUT), stores, watcher)
    stores.check_recovery()


@pytest.mark.parametrize("mode", ["sync"])
def test_partly_sent_write_is_not_applied(
    open_client: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write of which the kernel accepts only a part until the deadline is not applied (C18)."""
    # Or, on a busy machine, a PING is sent first, and no write after it.
    monkeypatch.setattr(blocking_node, "PING_AFTER", math.inf)
    client = open_client(proxy.url)
    client("write", KEY, b"1", None)
    not_sent = pytest.raises(BackendUnavailableError, match=r"timed out before Redis .* responded")
    with proxy.fault(BlackHole()), not_sent:
        client("write", KEY, b"2" * 2**24, None, timeout=TIMEOUT)
    assert client("read", KEY) == b"1"


def test_silent_connection_is_closed_after_a_timeout(open_client: Any, proxy: Proxy) -> None:
    """A connection that is silent after a short timeout is not used again (C18)."""
    client = open_client(proxy.url)
    client("write", KEY, b"1", None)
    with proxy.fault(Trickle(rate=0.01)), pytest.raises(OutcomeUnknownError):
        client("write", KEY, b"2", None, timeout=0.1)
    time.sleep(0.5)
    client("write", KEY, b"3", None)
    assert client("read", KEY) == b"3"


def test_stopped_server_holds_no_caller(open_client: Any, server: Standalone) -> None:
    """A stopped server holds no caller beyond the deadline, and serves after it resumes (C18)."""
    stores = StoresOfVerbs(open_client, server.url)
    with server.paused():
        errors = stores.call_all(TIMEOUT)
    assert all(errors.values()), errors
    assert {verb for verb in READS if isinstance(errors[verb], OutcomeUnknownError)} == set()
    stores.check_recovery()


def test_killed_server_is_unavailable(open_client: Any, server: Standalone) -> None:
    """A verb on a killed server is not applied, and succeeds after the restart (C18)."""
    stores = StoresOfVerbs(open_client, server.url)
    server.kill()
    try:
        errors = stores.call_all(PLENTY)
    finally:
        server.start()
    assert {verb: type(error) for verb, error in errors.items()} == dict.fromkeys(
        VERBS, BackendUnavailableError
    )
    stores.check_recovery()


def test_passed_deadline_sends_nothing(open_client: Any, server: Standalone) -> None:
    """A verb whose deadline has passed sends nothing (C18)."""
    client = open_client(server.url)
    client("write", KEY, b"1", None)
    with pytest.raises(BackendUnavailableError, match="timed out"):
        client("write", KEY, b"2", None, timeout=-1)
    assert client("read", KEY) == b"1"


@pytest.mark.bare
def test_signals_do_not_prolong_a_wait(open_client: Any, server: Standalone) -> None:
    """A timer that fires all the time does not hold a caller beyond its deadline (C18)."""
    client = open_client(server.url)
    client("write", KEY, b"1", None)
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    server.pause()
    try:
        with within(TIMEOUT + GRACE), pytest.raises(BackendUnavailableError):
            client("read", KEY, timeout=TIMEOUT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        server.resume()
