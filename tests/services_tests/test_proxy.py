"""The proxy applies its faults to real connections, and changes nothing else."""

import gc
import socket
import threading
import time

import pytest
from services import pgwire, valkey
from services.proxy import Proxy
from services.resp import Client
from services.waiting import wait_until

from fibonacci.testing import network
from fibonacci.testing.network import faults
from fibonacci.testing.network.address import address_of

GONE = (ConnectionError, TimeoutError)


@pytest.fixture
def proxy(valkey_proxy):
    return valkey_proxy


@pytest.fixture
def client(proxy):
    with Client(proxy.url) as client:
        yield client


@pytest.fixture
def count(valkey_server, request):
    """Return a counter's value on the server itself, and the name of its key."""
    key = request.node.name
    valkey_server("DEL", key)
    yield lambda: int(valkey_server("GET", key) or 0), key
    valkey_server("DEL", key)


def test_bytes_pass_unchanged(proxy, client):
    """Without a fault bytes pass both ways, large amounts too."""
    assert client("ECHO", "x" * 1_000_000) == b"x" * 1_000_000
    assert proxy.open == 1


def test_round_trips_are_counted(proxy, client):
    """A request in any number of writes is one round trip; the traffic can be read."""
    with proxy.record() as traffic:
        client("SET", "proxied", "v" * 300_000)
        assert traffic.round_trips == 1
        client("GET", "proxied")
        client("DEL", "proxied")
    assert traffic.round_trips == 3
    assert traffic.exchanges[2].request == b"*2\r\n$3\r\nDEL\r\n$7\r\nproxied\r\n"
    assert traffic.exchanges[2].reply == b":1\r\n"
    assert traffic.requests.startswith(b"*3\r\n$3\r\nSET")
    assert traffic.replies.startswith(b"+OK\r\n$300000\r\nv")


def test_a_pipeline_is_one_round_trip(proxy, client):
    """Commands that are sent in one write are one round trip, however many."""
    with proxy.record() as traffic:
        client.send_many(("ECHO", 1), ("ECHO", 2), ("ECHO", 3))
        assert [client.receive() for _ in range(3)] == [b"1", b"2", b"3"]
    assert traffic.round_trips == 1


def test_a_query_to_postgres_is_one_round_trip(postgres_proxy):
    """The proxy works with any server: on PostgreSQL, opening a session is one more round trip."""
    with pgwire.Connection(postgres_proxy.host, postgres_proxy.port) as connection:
        assert postgres_proxy.traffic.round_trips == 1
        assert connection.query("SELECT 1") == [["1"]]
        assert postgres_proxy.traffic.round_trips == 2


def test_connections_are_counted(proxy):
    """The record counts connections that open while it runs; `open` those that are open now."""
    with proxy.record() as traffic, Client(proxy.url) as one, Client(proxy.url) as other:
        assert one("PING") == other("PING") == b"PONG"
        assert traffic.connections == proxy.open == 2
        assert [exchange.connection for exchange in traffic.exchanges] == [1, 2]
    wait_until(lambda: proxy.open == 0, 5)


def test_delay(proxy, client):
    """Requests and replies are late by the configured delay, no less and no more."""
    with proxy.fault(faults.Delay(requests=0.1, replies=0.1)):
        began = time.monotonic()
        assert client("PING") == b"PONG"
        assert time.monotonic() - began >= 0.2


def test_black_hole_holds_bytes_until_it_ends(proxy, client, count):
    """A black hole holds all bytes, on new connections too, and passes them on at its end."""
    value, key = count
    with proxy.fault(faults.BlackHole()):
        client.timeout(0.1)
        client.send("INCR", key)
        with pytest.raises(TimeoutError):
            client.receive()
        with Client(proxy.url, timeout=0.1) as other, pytest.raises(TimeoutError):
            other("PING")
        assert value() == 0
    with Client(proxy.url) as late:
        wait_until(lambda: value() == 1, 5)
        assert late("PING") == b"PONG"


def test_black_hole_hides_a_server_s_end():
    """A client behind a black hole does not see its server's end before the fault is over."""
    with valkey.standalone() as server, Proxy(server) as proxy, Client(proxy.url) as client:
        assert client("PING") == b"PONG"
        with proxy.fault(faults.BlackHole()):
            server.kill()
            client.timeout(0.1)
            with pytest.raises(TimeoutError):
                client("PING")
        assert client.ended()


def test_black_hole_for_replies(proxy, client, count):
    """With `requests=False` the server applies requests whose replies never arrive."""
    value, key = count
    with proxy.fault(faults.BlackHole(requests=False)):
        client.timeout(0.1)
        with pytest.raises(TimeoutError):
            client("INCR", key)
        assert value() == 1


def test_black_hole_for_requests(proxy, client, count):
    """With `replies=False` only requests are held."""
    value, key = count
    with proxy.fault(faults.BlackHole(replies=False)):
        client.send("INCR", key)
        time.sleep(0.05)
        assert value() == 0
    assert client.receive() == 1


@pytest.mark.parametrize("reset", [False, True])
def test_lost_reply(proxy, client, count, reset):
    """The server has applied the request; the client sees the connection's end."""
    value, key = count
    with proxy.fault(faults.lost_reply(reset=reset)):
        with pytest.raises(ConnectionResetError if reset else ConnectionError):
            client("INCR", key)
        assert value() == 1


def test_lost_request(proxy, client, count):
    """A lost request never reaches the server."""
    value, key = count
    with proxy.fault(faults.lost_request()):
        with pytest.raises(ConnectionError):
            client("INCR", key)
        assert value() == 0


def test_fault_after_a_request(proxy, client, count):
    """With `after`, requests before the one that contains these bytes pass."""
    value, key = count
    with proxy.fault(faults.lost_reply(after=b"INCR")):
        assert client("PING") == b"PONG"
        with pytest.raises(ConnectionError):
            client("INCR", key)
    assert value() == 1


def test_fault_with_times(proxy, count):
    """With `times` the fault is over after so many connections."""
    value, key = count
    with proxy.fault(faults.lost_reply(times=2)):
        for _ in range(2):
            with Client(proxy.url) as client, pytest.raises(ConnectionError):
                client("INCR", key)
        with Client(proxy.url) as client:
            assert client("INCR", key) == value() == 3


@pytest.mark.parametrize("passed", [0, 1, 7, 13])
def test_cut_reply(proxy, client, passed):
    """Exactly so many bytes of a reply arrive."""
    reply = b"$10\r\n0123456789\r\n"
    with proxy.fault(faults.Cut(replies=passed)):
        client.send("ECHO", "0123456789")
        assert client.rest() == reply[:passed]


def test_cut_request(proxy, client, count, valkey_server):
    """The server receives so many bytes of a request, and applies nothing."""
    value, key = count
    with proxy.fault(faults.Cut(requests=12)), pytest.raises(ConnectionError):
        client("INCR", key)
    assert len(proxy.traffic.requests) > 12
    assert value() == 0


def test_cut_at_the_end_of_a_reply(proxy, client):
    """A cut at the very end of a reply lets it pass, and then ends the connection."""
    with proxy.fault(faults.Cut(replies=len(b"+PONG\r\n"))):
        assert client("PING") == b"PONG"
        assert client.rest() == b""


def test_trickle(proxy, client):
    """Replies arrive byte by byte: each byte soon, the whole late."""
    with proxy.fault(faults.Trickle(rate=100)):
        client.timeout(1.0)
        began = time.monotonic()
        assert client("ECHO", "x" * 20) == b"x" * 20
        assert time.monotonic() - began >= 0.2


def test_reset(proxy, client):
    """Open connections are reset, and so are new ones."""
    with proxy.fault(faults.Reset()):
        with pytest.raises(ConnectionResetError):
            client("PING")
        with pytest.raises(ConnectionResetError), Client(proxy.url) as other:
            other("PING")
    with Client(proxy.url) as other:
        assert other("PING") == b"PONG"


def test_refuse(proxy, client):
    """During the fault open connections end and new ones are refused; later they are accepted."""
    with proxy.fault(faults.Refuse()):
        assert client.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            Client(proxy.url)
    with Client(proxy.url) as other:
        assert other("PING") == b"PONG"


def test_refusing_proxy_keeps_its_port(proxy, client):
    """While the proxy refuses connections no other program gets its port."""
    with proxy.fault(faults.Refuse()), socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind((proxy.host, proxy.port))


def test_forget(proxy, client, count):
    """A connection from before the fault is silent for ever; a new one passes."""
    value, key = count
    client("PING")
    with proxy.fault(faults.Forget()), Client(proxy.url) as other:
        client.timeout(0.1)
        with pytest.raises(TimeoutError):
            client("INCR", key)
        assert other("PING") == b"PONG"
    client.send("INCR", key)
    time.sleep(0.05)
    assert value() == 0


LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.mark.parametrize("family", LOOPBACK)
def test_a_host_by_its_name(monkeypatch, family):
    """Of the addresses of a host the proxy takes the one where the server listens."""
    real = socket.getaddrinfo

    def resolve(host, *options, **more):
        names = LOOPBACK.values() if host == "server.example" else [host]
        return [found for name in names for found in real(name, *options, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with socket.create_server((LOOPBACK[family], 0), family=family) as server:
        found = address_of("server.example", server.getsockname()[1])
    assert found.address[0] == LOOPBACK[family]


def test_ipv6():
    """The proxy of a server with an IPv6 address has one, too."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        proxy = network.Proxy("::1", server.getsockname()[1])
        with proxy, socket.create_connection((proxy.host, proxy.port)) as client:
            client.sendall(b"x")
            with server.accept()[0] as accepted:
                assert (proxy.host, accepted.recv(1)) == ("::1", b"x")


@pytest.mark.parametrize("reset", [False, True])
def test_drop(proxy, client, reset):
    """Open connections end once; new ones pass."""
    client("PING")
    proxy.drop(reset=reset)
    assert proxy.open == 0
    with pytest.raises(ConnectionResetError if reset else ConnectionError):
        client("PING")
    with Client(proxy.url) as other:
        assert other("PING") == b"PONG"


def test_a_server_that_dies_ends_its_connections():
    """A killed server's connections end; while it is down, new ones are reset."""
    with valkey.standalone() as server, Proxy(server) as proxy, Client(proxy.url) as client:
        client("PING")
        server.kill()
        with pytest.raises(ConnectionError):
            client("PING")
        with pytest.raises(ConnectionResetError), Client(proxy.url) as other:
            other("PING")
        server.start()
        with Client(proxy.url) as other:
            assert other("PING") == b"PONG"


def test_closed_proxy_leaves_nothing(valkey_server, recwarn):
    """A closed proxy leaves no thread, no open connection and no listener."""
    before = set(threading.enumerate())
    with Proxy(valkey_server) as proxy, Client(proxy.url) as client:
        client("PING")
        proxy.begin(faults.BlackHole())
        client.send("PING")
    assert set(threading.enumerate()) <= before  # another test's may end meanwhile
    with pytest.raises(ConnectionRefusedError):
        Client(proxy.url)
    gc.collect()
    assert not recwarn.list
