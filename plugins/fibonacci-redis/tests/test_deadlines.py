"""A server that is gone, stopped, cut off or slow: every verb ends in time, and tells the truth."""

import contextlib
import functools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from services import valkey
from services.faults import BlackHole, Delay, Refuse, Trickle
from services.proxy import Proxy
from services.standalone import Standalone

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci.testing.threads import run_concurrently

TIMEOUT = 0.55
"""More than the grace: who takes a deadline's time twice is late."""
GRACE = 0.5
"""Seconds beyond the deadline that a call may take (C18)."""
PLENTY = 20.0
"""Seconds that no call needs."""

Ask = Callable[..., Any]
Verb = Callable[[Ask, Space], Any]


def key(space: Space) -> Address:
    return Address(space, "k")


def other(space: Space) -> Address:
    return Address(space, "other")


READS: dict[str, Verb] = {
    "read": lambda ask, space: ask("read", key(space)),
    "exists": lambda ask, space: ask("exists", key(space)),
    "remaining_ttl_ms": lambda ask, space: ask("remaining_ttl_ms", key(space)),
    "read_many": lambda ask, space: ask("read_many", [key(space), other(space)]),
    "scan": lambda ask, space: ask("scan", space),
}
WRITES: dict[str, Verb] = {
    "write": lambda ask, space: ask("write", key(space), b"2", None),
    "write, large": lambda ask, space: ask("write", key(space), b"2" * 8_000_000, None),
    "add": lambda ask, space: ask("compare_and_set", other(space), ABSENT, b"2", None),
    "swap": lambda ask, space: ask("compare_and_set", key(space), b"1", b"2", KEEP_TTL),
    "remove": lambda ask, space: ask("remove", key(space)),
    "touch": lambda ask, space: ask("touch", key(space), 60_000),
    "write_many": lambda ask, space: ask(
        "write_many", [(key(space), b"2"), (other(space), b"2")], None
    ),
    "remove_many": lambda ask, space: ask("remove_many", [key(space), other(space)]),
    "clear": lambda ask, space: ask("clear", space),
}
VERBS = READS | WRITES
SPACE = Space("t:late:", "workflow", "w")
KEY = key(SPACE)


@pytest.fixture(scope="module")
def server() -> Iterator[Standalone]:
    """A server of these tests' own, to be killed and stopped."""
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


class Crew:
    """A store for each verb, with a space of its own: what they are in for, they meet at once."""

    def __init__(self, opening: Any, url: str) -> None:
        self.spaces = {verb: Space("t:late:", "workflow", verb) for verb in VERBS}
        self.stores = {verb: opening(url) for verb in VERBS}
        for verb, ask in self.stores.items():
            ask.clear(self.spaces[verb])
            ask("write", key(self.spaces[verb]), b"1", None)

    def attempt(self, timeout: float) -> dict[str, Exception | None]:
        """Each store does its verb, none for longer than it may; what each of them raised."""
        faults: dict[str, Exception | None] = {}

        def work(verb: str) -> None:
            ask = self.stores[verb]
            with within(timeout + GRACE):
                try:
                    VERBS[verb](functools.partial(ask, timeout=timeout), self.spaces[verb])
                except (BackendUnavailableError, OutcomeUnknownError) as fault:
                    faults[verb] = fault
                else:
                    faults[verb] = None

        run_concurrently([lambda verb=verb: work(verb) for verb in VERBS])
        return faults

    def go_on(self) -> None:
        """The same stores work again, at their first try."""
        for verb, ask in self.stores.items():
            ask("write", key(self.spaces[verb]), b"3", None)
            assert ask("read", key(self.spaces[verb])) == b"3", verb


def honest(faults: dict[str, Exception | None], crew: Crew, watcher: Any) -> None:
    """Every verb raised, reads never of their outcome; and what surely was not applied was not."""
    for verb, fault in faults.items():
        assert fault is not None, verb
        assert verb in WRITES or isinstance(fault, BackendUnavailableError), verb
        if isinstance(fault, BackendUnavailableError):
            assert watcher("read", key(crew.spaces[verb])) == b"1", verb
            assert watcher("read", other(crew.spaces[verb])) is None, verb


FAULTS = {
    "nothing passes": BlackHole(),
    "no reply passes": BlackHole(requests=False),
    "refused": Refuse(),
    "slow": Delay(replies=10.0),
    "trickle": Trickle(rate=0.3),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault: str, opening: Any, proxy: Proxy, server: Standalone) -> None:
    """A verb that gets no answer ends by its deadline, and the next one works (C18, C19)."""
    crew, watcher = Crew(opening, proxy.url), opening(server.url)
    with proxy.fault(FAULTS[fault]):
        honest(crew.attempt(TIMEOUT), crew, watcher)
    crew.go_on()


def test_after_a_caller_with_little_time(opening: Any, proxy: Proxy) -> None:
    """A connection on which a short wait was in vain, and nothing came since, is left (C18)."""
    ask = opening(proxy.url)
    ask("write", KEY, b"1", None)
    with proxy.fault(Trickle(rate=0.01)), pytest.raises(OutcomeUnknownError):
        ask("write", KEY, b"2", None, timeout=0.1)
    time.sleep(0.5)
    ask("write", KEY, b"3", None)
    assert ask("read", KEY) == b"3"


@pytest.mark.parametrize("fault", ["nothing passes", "no reply passes", "refused", "trickle"])
def test_connecting(fault: str, opening: Any, proxy: Proxy) -> None:
    """A connection that is not made by the deadline surely sent nothing (C18)."""
    ask = opening(proxy.url.replace("/0", "/2"))
    unavailable = pytest.raises(BackendUnavailableError)
    with proxy.fault(FAULTS[fault]), within(TIMEOUT + GRACE), unavailable:
        ask("write", KEY, b"1", None, timeout=TIMEOUT)
    assert ask("read", KEY) is None


def test_stopped(opening: Any, server: Standalone) -> None:
    """A stopped server holds nobody beyond the deadline, and serves when it goes on (C18)."""
    crew = Crew(opening, server.url)
    server.pause()
    try:
        faults = crew.attempt(TIMEOUT)
    finally:
        server.resume()
    assert all(faults.values()), faults
    assert {verb for verb in READS if isinstance(faults[verb], OutcomeUnknownError)} == set()
    crew.go_on()


def test_killed_and_restarted(opening: Any, server: Standalone) -> None:
    """A killed server is told from one that lost an answer, and is found when it is back (C18)."""
    crew = Crew(opening, server.url)
    server.kill()
    try:
        faults = crew.attempt(PLENTY)
    finally:
        server.start()
    assert {verb: type(fault) for verb, fault in faults.items()} == dict.fromkeys(
        VERBS, BackendUnavailableError
    )
    crew.go_on()


def test_restarted_meanwhile(opening: Any, server: Standalone) -> None:
    """A restart between two verbs costs nothing: dead connections are seen before use (C20)."""
    crew = Crew(opening, server.url)
    server.restart()
    assert crew.attempt(PLENTY) == dict.fromkeys(VERBS)


def test_deadline_passed(opening: Any, server: Standalone) -> None:
    """A verb whose deadline has passed sends nothing (C18)."""
    ask = opening(server.url)
    ask("write", KEY, b"1", None)
    with pytest.raises(BackendUnavailableError, match="out of time"):
        ask("write", KEY, b"2", None, timeout=-1)
    assert ask("read", KEY) == b"1"


@pytest.mark.bare
def test_signals_do_not_prolong(opening: Any, server: Standalone) -> None:
    """A timer whose signals come all the time does not keep a caller waiting (C18)."""
    ask = opening(server.url)
    ask("write", KEY, b"1", None)
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    server.pause()
    try:
        with within(TIMEOUT + GRACE), pytest.raises(BackendUnavailableError):
            ask("read", KEY, timeout=TIMEOUT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        server.resume()
