"""A server that is gone, stopped, cut off or slow: every verb ends in time, and tells the truth."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from services import valkey
from services.faults import BlackHole, Delay, Refuse, Trickle
from services.proxy import Proxy
from services.standalone import Redis, Standalone

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, KEEP, Address, Space

SPACE = Space("t:late:", "workflow", "w")
TIMEOUT = 0.15
GRACE = 0.5
KEY = Address(SPACE, "k")
OTHER = Address(SPACE, "other")

READS: dict[str, Callable[[Any], Any]] = {
    "read": lambda ask: ask("read", KEY),
    "exists": lambda ask: ask("exists", KEY),
    "remaining": lambda ask: ask("remaining", KEY),
    "read_many": lambda ask: ask("read_many", [KEY, OTHER]),
    "scan": lambda ask: ask("scan", SPACE),
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "write": lambda ask: ask("write", KEY, b"2", None),
    "write, large": lambda ask: ask("write", KEY, b"2" * 8_000_000, None),
    "add": lambda ask: ask("compare_and_set", OTHER, ABSENT, b"2", None),
    "swap": lambda ask: ask("compare_and_set", KEY, b"1", b"2", KEEP),
    "remove": lambda ask: ask("remove", KEY),
    "touch": lambda ask: ask("touch", KEY, 60_000),
    "write_many": lambda ask: ask("write_many", [(KEY, b"2"), (OTHER, b"2")], None),
    "remove_many": lambda ask: ask("remove_many", [KEY, OTHER]),
    "clear": lambda ask: ask("clear", SPACE),
}


@pytest.fixture(scope="module")
def server(valkey_server: Redis) -> Iterator[Standalone]:
    """A server of these tests' own, to be killed and stopped; where there is the shared one."""
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


def ready(ask: Any) -> Any:
    """Connect, and write a record."""
    ask.clear(SPACE)
    ask("write", KEY, b"1", None)
    return ask


def expected(verb: str) -> type[Exception] | tuple[type[Exception], ...]:
    return (
        BackendUnavailableError if verb in READS else (BackendUnavailableError, OutcomeUnknownError)
    )


FAULTS = {
    "nothing passes": BlackHole(),
    "no reply passes": BlackHole(requests=False),
    "refused": Refuse(),
    "slow": Delay(replies=2.0),
    "trickle": Trickle(rate=0.3),
}


@pytest.mark.parametrize("verb", [*READS, *WRITES])
@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault: str, verb: str, opening: Any, proxy: Proxy, server: Standalone) -> None:
    """A verb that gets no answer ends by its deadline, and the next one works (C18, C19)."""
    ask, watcher = ready(opening(proxy.url)), opening(server.url)
    with proxy.fault(FAULTS[fault]), within(TIMEOUT + GRACE):
        with pytest.raises(expected(verb)) as raised:
            (READS | WRITES)[verb](lambda *args: ask(*args, timeout=TIMEOUT))
        if isinstance(raised.value, BackendUnavailableError):
            assert watcher("read", KEY) == b"1"
            assert watcher("read", OTHER) is None
    with within(1.0):
        ask("write", KEY, b"3", None)
        assert ask("read", KEY) == b"3"


@pytest.mark.parametrize("fault", ["nothing passes", "no reply passes", "refused", "trickle"])
def test_connecting(fault: str, opening: Any, proxy: Proxy) -> None:
    """A connection that is not made by the deadline surely sent nothing (C18)."""
    ask = opening(proxy.url.replace("/0", "/2"))
    unavailable = pytest.raises(BackendUnavailableError)
    with proxy.fault(FAULTS[fault]), within(TIMEOUT + GRACE), unavailable:
        ask("write", KEY, b"1", None, timeout=TIMEOUT)
    with within(1.0):
        assert ask("read", KEY) is None


@pytest.mark.parametrize("verb", ["read", "write", "swap", "remove", "scan"])
def test_stopped(verb: str, opening: Any, server: Standalone) -> None:
    """A stopped server holds nobody beyond the deadline, and serves when it goes on (C18)."""
    ask = ready(opening(server.url))
    server.pause()
    try:
        with within(TIMEOUT + GRACE), pytest.raises(expected(verb)):
            (READS | WRITES)[verb](lambda *args: ask(*args, timeout=TIMEOUT))
    finally:
        server.resume()
    with within(1.0):
        ask("write", KEY, b"3", None)
        assert ask("read", KEY) == b"3"


@pytest.mark.parametrize("verb", [*READS, *WRITES])
def test_killed_and_restarted(verb: str, opening: Any, server: Standalone) -> None:
    """A killed server is told from one that lost an answer, and is found when it is back (C18)."""
    ask = ready(opening(server.url))
    server.kill()
    time.sleep(0.01)
    try:
        with within(TIMEOUT + GRACE), pytest.raises(BackendUnavailableError):
            (READS | WRITES)[verb](lambda *args: ask(*args, timeout=TIMEOUT))
    finally:
        server.start()
    with within(1.0):
        ask("write", KEY, b"3", None)
        assert ask("read", KEY) == b"3"


@pytest.mark.parametrize("verb", WRITES)
def test_restarted_meanwhile(verb: str, opening: Any, server: Standalone) -> None:
    """A restart between two verbs costs nothing: dead connections are seen before use (C20)."""
    ask = ready(opening(server.url))
    server.restart()
    WRITES[verb](ask)


def test_deadline_passed(opening: Any, server: Standalone) -> None:
    """A verb whose deadline has passed sends nothing (C18)."""
    ask = ready(opening(server.url))
    with pytest.raises(BackendUnavailableError, match="out of time"):
        ask("write", KEY, b"2", None, timeout=-1)
    assert ask("read", KEY) == b"1"


@pytest.mark.bare
def test_signals_do_not_prolong(opening: Any, server: Standalone) -> None:
    """A timer whose signals come all the time does not keep a caller waiting (C18)."""
    ask = ready(opening(server.url))
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
