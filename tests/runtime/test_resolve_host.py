"""Lookups of host names end at a deadline, whatever the system's resolver does."""

import asyncio
import socket
import threading
import time
from secrets import token_hex

import pytest
from forks import in_child

from fibonacci.plugin.runtime import aresolve_host, resolve_host

TIMEOUT = 0.2
GRACE = 0.5


def soon(seconds=TIMEOUT):
    return time.monotonic() + seconds


def aresolved(host, *, deadline):
    return asyncio.run(aresolve_host(host, deadline=deadline))


@pytest.fixture(params=[resolve_host, aresolved], ids=["sync", "async"])
def look_up(request):
    """Call the function, or its async twin on an event loop that is closed at once afterwards."""
    return request.param


class Resolver:
    """The system's resolver: it knows some names, and hangs at others until it is released."""

    def __init__(self):
        self.known = {}
        self.hosts = []
        self.go = threading.Event()

    def __call__(self, host, port, *rest, **more):
        self.hosts.append(host)
        if host.endswith(".hanging"):
            self.go.wait(5)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "nobody of that name")
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 6, "", (one, 0)) for one in self.known[host]]


@pytest.fixture
def resolver(monkeypatch):
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.go.set()


@pytest.fixture
def hanging():
    """A host whose lookup hangs; another one in each test."""
    return f"{token_hex(4)}.hanging"


def test_addresses(look_up, resolver):
    """A host's addresses come in the resolver's order, each once."""
    resolver.known["two.example"] = ["10.0.0.2", "10.0.0.1", "10.0.0.2"]
    assert look_up("two.example", deadline=soon(5)) == ["10.0.0.2", "10.0.0.1"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%lo"])
def test_address(look_up, resolver, address):
    """An IP address is returned unchanged, without the resolver."""
    assert look_up(address, deadline=soon()) == [address]
    assert resolver.hosts == []


def test_system(look_up):
    """The system's resolver knows this machine."""
    assert set(look_up("localhost", deadline=soon(5))) & {"127.0.0.1", "::1"}


def test_hanging(look_up, resolver, hanging):
    """A resolver that hangs blocks no caller beyond the deadline, nor the end of an event loop."""
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        look_up(hanging, deadline=start + TIMEOUT)
    assert TIMEOUT <= time.monotonic() - start < TIMEOUT + GRACE


def test_passed_deadline(look_up, resolver, hanging):
    """A caller whose deadline has passed starts no lookup."""
    with pytest.raises(TimeoutError):
        look_up(hanging, deadline=time.monotonic())
    assert resolver.hosts == []


def test_unknown(look_up, resolver):
    """An unknown host raises OSError, with the resolver's reason."""
    with pytest.raises(OSError, match="nobody of that name") as raised:
        look_up("gone.example", deadline=soon(5))
    assert raised.value.strerror == "nobody of that name"


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example"])
def test_no_name(look_up, host):
    """Text that can't be a host name raises OSError, too."""
    with pytest.raises(OSError, match="not a host name"):
        look_up(host, deadline=soon(5))


def test_loop_runs_on(resolver, hanging):
    """An event loop runs on while a lookup hangs."""

    async def ticks():
        looking = asyncio.ensure_future(aresolve_host(hanging, deadline=soon()))
        ticks = 0
        while not looking.done():
            ticks += 1
            await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            await looking
        return ticks

    assert asyncio.run(ticks()) > 5


def test_cancelled(resolver, hanging):
    """A cancelled caller returns at once, and the lookup wakes nobody later."""

    async def cancelled():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(aresolve_host(hanging, deadline=soon(5)), 0.01)

    start = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - start < GRACE


def test_concurrent_lookups_are_shared(resolver, hanging):
    """Callers that come during a lookup wait for it, in threads and a loop."""
    resolver.known[hanging] = ["10.0.0.1"]
    found = []

    def looking():
        found.append(resolve_host(hanging, deadline=soon(5)))

    async def all_look():
        return await asyncio.gather(*[aresolve_host(hanging, deadline=soon(5)) for _ in range(5)])

    threads = [threading.Thread(target=looking) for _ in range(5)]
    for thread in threads:
        thread.start()
    while not resolver.hosts:
        time.sleep(0.001)
    threading.Timer(0.05, resolver.go.set).start()
    found += asyncio.run(all_look())
    for thread in threads:
        thread.join()
    assert found == [["10.0.0.1"]] * 10
    assert resolver.hosts == [hanging]
    assert resolve_host(hanging, deadline=soon(5)) == ["10.0.0.1"]
    assert resolver.hosts == [hanging] * 2


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_forked(resolver, hanging):
    """A child that is forked during its parent's lookup does its own."""
    resolver.known[hanging] = ["10.0.0.1"]
    with pytest.raises(TimeoutError):
        resolve_host(hanging, deadline=soon(0.01))

    def look_up():
        resolver.go = threading.Event()
        resolver.go.set()
        return resolve_host(hanging, deadline=soon(5)) == ["10.0.0.1"]

    in_child(look_up)
