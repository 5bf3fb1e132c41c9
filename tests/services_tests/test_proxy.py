"""The proxy does what it is told to, to real connections, and nothing else."""

import gc
import threading
import time

import pytest
from services import faults, pgwire, valkey
from services.proxy import Proxy
from services.resp import Client

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
    """A counter's value on the server itself, and the name of its key."""
    key = request.node.name
    valkey_server("DEL", key)
    yield lambda: int(valkey_server("GET", key) or 0), key
    valkey_server("DEL", key)


def test_all_passes(proxy, client):
    """Without a fault bytes pass both ways, large ones too."""
    assert client("ECHO", "x" * 1_000_000) == b"x" * 1_000_000
    assert proxy.open == 1


def test_round_trips_are_counted(proxy, client):
    """A request in however many writes is one round trip; what went is there to read."""
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
    """Any server can be behind: here PostgreSQL, where opening a session is one more."""
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
    until(lambda: proxy.open == 0)


def test_delay(proxy, client):
    """Requests and replies are late by what was said, not before and not after."""
    with proxy.fault(faults.Delay(requests=0.1, replies=0.1)):
        began = time.monotonic()
        assert client("PING") == b"PONG"
        assert time.monotonic() - began >= 0.2


def test_a_black_hole_is_silent_then_late(proxy, client, count):
    """Nothing passes while it rules, on new connections neither; what was held passes then."""
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
        until(lambda: value() == 1)
        assert late("PING") == b"PONG"


def test_a_black_hole_hides_a_server_s_end():
    """Who is parted from a server does not learn of its death before the fault is over."""
    with valkey.standalone() as server, Proxy(server) as proxy, Client(proxy.url) as client:
        assert client("PING") == b"PONG"
        with proxy.fault(faults.BlackHole()):
            server.kill()
            client.timeout(0.1)
            with pytest.raises(TimeoutError):
                client("PING")
        assert client.ended()


def test_a_black_hole_for_replies(proxy, client, count):
    """With `requests=False` the server does what the client never hears of."""
    value, key = count
    with proxy.fault(faults.BlackHole(requests=False)):
        client.timeout(0.1)
        with pytest.raises(TimeoutError):
            client("INCR", key)
        assert value() == 1


def test_a_black_hole_for_requests(proxy, client, count):
    """With `replies=False` only requests are held."""
    value, key = count
    with proxy.fault(faults.BlackHole(replies=False)):
        client.send("INCR", key)
        time.sleep(0.05)
        assert value() == 0
    assert client.receive() == 1


@pytest.mark.parametrize("reset", [False, True])
def test_a_lost_reply(proxy, client, count, reset):
    """The server has applied the request; the client hears the connection's end."""
    value, key = count
    with proxy.fault(faults.lost_reply(reset=reset)):
        with pytest.raises(ConnectionResetError if reset else ConnectionError):
            client("INCR", key)
        assert value() == 1


def test_a_lost_request(proxy, client, count):
    """The request never reached the server."""
    value, key = count
    with proxy.fault(faults.lost_request()):
        with pytest.raises(ConnectionError):
            client("INCR", key)
        assert value() == 0


def test_a_fault_may_wait_for_a_request(proxy, client, count):
    """With `after` requests before the one that holds these bytes go through."""
    value, key = count
    with proxy.fault(faults.lost_reply(after=b"INCR")):
        assert client("PING") == b"PONG"
        with pytest.raises(ConnectionError):
            client("INCR", key)
    assert value() == 1


def test_a_fault_may_happen_so_many_times(proxy, count):
    """With `times` it is over after so many connections."""
    value, key = count
    with proxy.fault(faults.lost_reply(times=2)):
        for _ in range(2):
            with Client(proxy.url) as client, pytest.raises(ConnectionError):
                client("INCR", key)
        with Client(proxy.url) as client:
            assert client("INCR", key) == value() == 3


@pytest.mark.parametrize("passed", [0, 1, 7, 13])
def test_a_reply_is_cut(proxy, client, passed):
    """Exactly so many bytes of a reply arrive."""
    reply = b"$10\r\n0123456789\r\n"
    with proxy.fault(faults.Cut(replies=passed)):
        client.send("ECHO", "0123456789")
        assert client.rest() == reply[:passed]


def test_a_request_is_cut(proxy, client, count, valkey_server):
    """The server gets so many bytes of a request, and applies nothing."""
    value, key = count
    with proxy.fault(faults.Cut(requests=12)), pytest.raises(ConnectionError):
        client("INCR", key)
    assert len(proxy.traffic.requests) > 12
    assert value() == 0


def test_a_cut_may_come_after_the_whole(proxy, client):
    """A cut at the very end of a reply lets it through, and then ends the connection."""
    with proxy.fault(faults.Cut(replies=len(b"+PONG\r\n"))):
        assert client("PING") == b"PONG"
        assert client.rest() == b""


def test_a_trickle(proxy, client):
    """Replies come byte by byte, each soon, all of them late."""
    with proxy.fault(faults.Trickle(rate=100)):
        client.timeout(1.0)
        began = time.monotonic()
        assert client("ECHO", "x" * 20) == b"x" * 20
        assert time.monotonic() - began >= 0.2


def test_reset(proxy, client):
    """Open connections are reset, and new ones too."""
    with proxy.fault(faults.Reset()):
        with pytest.raises(ConnectionResetError):
            client("PING")
        with pytest.raises(ConnectionResetError), Client(proxy.url) as other:
            other("PING")
    with Client(proxy.url) as other:
        assert other("PING") == b"PONG"


def test_refuse(proxy, client):
    """Open connections end, new ones are refused, and later welcome again."""
    with proxy.fault(faults.Refuse()):
        assert client.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            Client(proxy.url)
    with Client(proxy.url) as other:
        assert other("PING") == b"PONG"


@pytest.mark.parametrize("reset", [False, True])
def test_drop(proxy, client, reset):
    """Idle connections end once; new ones pass."""
    client("PING")
    proxy.drop(reset=reset)
    assert proxy.open == 0
    with pytest.raises(ConnectionResetError if reset else ConnectionError):
        client("PING")
    with Client(proxy.url) as other:
        assert other("PING") == b"PONG"


def test_a_server_that_dies_ends_its_connections():
    """A killed server's connections end; as long as it is gone, new ones are reset."""
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


def test_nothing_is_left(valkey_server, recwarn):
    """A closed proxy leaves no thread, no open connection and no listener."""
    before = set(threading.enumerate())
    with Proxy(valkey_server) as proxy, Client(proxy.url) as client:
        client("PING")
        proxy.begin(faults.BlackHole())
        client.send("PING")
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        Client(proxy.url)
    gc.collect()
    assert not recwarn.list


def until(claim):
    """Wait for something that happens on its own."""
    deadline = time.monotonic() + 5
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.005)
