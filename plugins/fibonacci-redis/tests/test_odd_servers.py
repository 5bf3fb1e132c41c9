"""Servers that answer what no Redis should, and moments that are hard to hit with a real one."""

import asyncio
import signal
import socket
import time
import traceback
from typing import Any

import pytest
from alarms import Alarm, alarms
from services.faults import BlackHole, Cut
from services.proxy import Proxy
from services.standalone import Redis

from fibonacci import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, run_sync
from fibonacci_redis import fibonacci_storage
from fibonacci_redis.commands import remove_request
from fibonacci_redis.layout import space_keys
from fibonacci_redis.store import MAX_RECENTLY_WRITTEN

from .fakes import answering

SPACE = Space("t:odd:", "workflow", "w")
KEY = Address(SPACE, "k")


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n", b"\x00\x01\r\n"])
def test_no_redis(reply: bytes, open_client: Any) -> None:
    """A server that speaks something else gives no answer, and its words are not believed."""
    with answering(lambda _: reply) as port:
        client = open_client(f"redis://127.0.0.1:{port}")
        with pytest.raises(BackendUnavailableError):
            client("read", KEY)
        with pytest.raises(OutcomeUnknownError):
            client("write", KEY, b"1", None)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"-NOAUTH Authentication required.", "rejected the user name or password"),
        (b"-ERR invalid password", "rejected the user name or password"),
        (b"-DENIED Redis is running in protected mode", "is in protected mode"),
    ],
)
def test_refused_logins(reply: bytes, message: str, open_client: Any) -> None:
    """A login is shown once, whatever the words that refuse it."""
    logins = []

    def answer(data: bytes) -> bytes:
        logins.append(data)
        return reply + b"\r\n"

    with answering(answer) as port, pytest.raises(StorageError, match=message) as caught:
        open_client(f"redis://:hunter2@127.0.0.1:{port}")("read", KEY)
    assert type(caught.value) is StorageError
    assert len(logins) == 1


def test_no_more_connections(open_client: Any) -> None:
    """A server that has all the connections that it takes is asked again later (C20)."""
    reply, message = b"-ERR max concurrent connections exceeded\r\n", "too many clients"
    with (
        answering(lambda _: reply) as port,
        pytest.raises(BackendUnavailableError, match=message),
    ):
        open_client(f"redis://127.0.0.1:{port}")("read", KEY)


def test_value_that_a_refusal_quotes(open_client: Any) -> None:
    """A name that an error reply quotes does not stand in the frames of our error (C23)."""
    quoting = b"-ERR unknown command 'GET', with args beginning with: 'canary'\r\n"
    with answering(lambda _: quoting) as port, pytest.raises(StorageError) as caught:
        open_client(f"redis://127.0.0.1:{port}")("read", KEY)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "canary" not in str([frame.locals for frame in shown.stack if "test_" not in frame.name])


def test_reply_that_nobody_asked_for(open_client: Any) -> None:
    """One reply too many is nobody's: the connection is left before the next request."""
    with answering(lambda _: b"$1\r\n1\r\n$1\r\n2\r\n") as port:
        client = open_client(f"redis://127.0.0.1:{port}")
        assert client("read", KEY) == b"1"
        time.sleep(0.01)
        assert client("read", KEY) == b"1"


def test_endless_redirects(open_client: Any) -> None:
    """A cluster whose nodes send askers in a circle is left in time."""
    where: list[int] = []

    def answer(data: bytes) -> bytes:
        if b"SLOTS" in data:
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n" % where[0]
        return b"-MOVED 1 :%d\r\n" % where[0]

    with answering(answer) as port:
        where.append(port)
        client = open_client(f"redis+cluster://127.0.0.1:{port}")
        with pytest.raises(BackendUnavailableError, match="moved these keys"):
            client("read", KEY)


def test_unknown_error(open_client: Any) -> None:
    """An error that we don't know is told by its kind alone: its words may quote a value (C23)."""
    with answering(lambda _: b"-ODD about swordfish\r\n") as port:
        client = open_client(f"redis://127.0.0.1:{port}")
        with pytest.raises(StorageError, match="'ODD'") as raised:
            client("read", KEY)
        assert "swordfish" not in str(raised.value)


def test_older_server(open_client: Any) -> None:
    """A server that is too old for the expiry of an index is told as that."""
    refusal = b"-ERR wrong number of arguments for 'pexpire' command\r\n:0\r\n"
    with answering(lambda _: refusal) as port, pytest.raises(StorageError, match="older than"):
        open_client(f"redis://127.0.0.1:{port}")("touch", KEY, 1_000)


def test_batch_in_part(open_client: Any, valkey_proxy: Proxy, valkey_server: Redis) -> None:
    """A large batch whose second part does not arrive was perhaps written: it is told so (C18)."""
    client = open_client(valkey_proxy.url)
    items = [(Address(SPACE, f"k{number}"), b"x" * 1_000_000) for number in range(10)]
    client("write_many", items[:1], None)
    with valkey_proxy.fault(Cut(requests=6_000_000, times=1)), pytest.raises(OutcomeUnknownError):
        client("write_many", items, None)
    assert 1 < len(client.keys(SPACE)) < 10
    client.clear(SPACE)


def test_many_idle_connections(valkey_server: Redis, open_client: Any) -> None:
    """However many threads asked at once, a bounded number of connections is kept."""
    client = open_client(valkey_server.url, mode="sync")
    taken = [
        run_sync(client.store._topology.session(0, time.monotonic() + 5))[0] for _ in range(70)
    ]
    for session in taken:
        session.release(reusable=True)
    assert len(client.store._topology._node._pool._idle) == 64


def test_broken_pipe(valkey_server: Redis, open_client: Any) -> None:
    """A request that the system does not take was surely not sent (C18)."""
    client = open_client(valkey_server.url, mode="sync")
    session, asked = run_sync(client.store._topology.session(0, time.monotonic() + 5))
    session._connection.connection.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(BackendUnavailableError, match="connection broke"):
        run_sync(asked(remove_request(space_keys(SPACE), [b"k"])))
    session.release(reusable=False)


def test_many_known_records(valkey_server: Redis, open_client: Any) -> None:
    """What is remembered of records that were written is bounded."""
    client = open_client(valkey_server.url)
    records = client.store
    records._recently_written.update(
        Address(SPACE, f"n{number}") for number in range(MAX_RECENTLY_WRITTEN)
    )
    client("write", KEY, b"1", None)
    assert records._recently_written == {KEY}
    client.clear(SPACE)


def test_session_after_restart(open_client: Any, valkey_proxy: Proxy) -> None:
    """A connection kept for long compare-and-sets is looked at before it is used again (C20)."""
    client = open_client(valkey_proxy.url)
    long = b"x" * 9_000
    client("write", KEY, b"1", None)
    assert client("compare_and_set", KEY, b"1", long, None) is True
    assert client("compare_and_set", KEY, b"1", long, None) is False
    valkey_proxy.drop()
    time.sleep(0.01)
    assert client("compare_and_set", KEY, long, b"1", None) is True
    client("remove", KEY)


def test_interrupted_while_waiting(open_client: Any, valkey_proxy: Proxy) -> None:
    """A caller that is interrupted while it waits leaves no reply to the next one (C19)."""
    client = open_client(valkey_proxy.url, mode="sync")
    client("write_many", [(KEY, b"1"), (Address(SPACE, "other"), b"2")], None)
    with alarms(), valkey_proxy.fault(BlackHole(requests=False)):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Alarm):
            client("read", KEY)
    assert client("read", Address(SPACE, "other")) == b"2"
    client.clear(SPACE)


def test_sentinel_that_starts(open_client: Any) -> None:
    """A sentinel that is still loading is a fault that passes."""
    with answering(lambda _: b"-LOADING wait\r\n") as port:
        client = open_client(f"redis+sentinel://127.0.0.1:{port}/main")
        with pytest.raises(BackendUnavailableError, match="is loading"):
            client("read", KEY)


def test_node_that_breaks_off(open_client: Any) -> None:
    """A node of a cluster, or a primary, that breaks off is looked for anew (C20)."""
    where: list[int] = []
    looked_up: list[bytes] = []

    def answer(data: bytes) -> bytes:
        if b"SLOTS" in data:
            looked_up.append(data)
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n" % where[0]
        if b"SENTINEL" in data:
            looked_up.append(data)
            return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(where[0])), where[0])
        return b"broken\r\n"

    with answering(answer) as port:
        where.append(port)
        for url in (f"redis+cluster://127.0.0.1:{port}", f"redis+sentinel://127.0.0.1:{port}/main"):
            client = open_client(url)
            looked_up.clear()
            for _ in range(2):
                with pytest.raises(BackendUnavailableError):
                    client("read", KEY)
            assert len(looked_up) == 2


def slots_at(*ports: int) -> bytes:
    """What CLUSTER SLOTS says where these nodes share the slots."""
    share = 16_384 // len(ports)
    rows = [
        b"*3\r\n:%d\r\n:%d\r\n*2\r\n$0\r\n\r\n:%d\r\n" % (n * share, (n + 1) * share - 1, port)
        for n, port in enumerate(ports)
    ]
    return b"*%d\r\n%b" % (len(rows), b"".join(rows))


def test_many_callers_of_a_cluster() -> None:
    """The slots are asked for once for all callers; nodes that are gone are not asked again."""
    nodes: list[int] = []
    looked_up: list[bytes] = []
    get = b"$-1\r\n"

    def answer(data: bytes) -> bytes:
        if b"SLOTS" in data:
            looked_up.append(data)
            return slots_at(*nodes)
        return get * data.count(b"GET")

    async def main(url: str) -> None:
        nonlocal get
        store: Any = fibonacci_storage(StoreSettings(url=StoreURL.parse(url))).create_async_store()

        async def read_all() -> list[Any]:
            addresses = [Address(Space("t:odd:", "workflow", f"w{n}"), "k") for n in range(100)]
            reads = [store.read(one, deadline=time.monotonic() + 5) for one in addresses]
            return await asyncio.gather(*reads, return_exceptions=True)

        found = await read_all()
        assert None in found
        assert BackendUnavailableError in map(type, found)  # one of the two nodes is not there
        assert len(looked_up) == 1
        get, nodes[:] = b"-CLUSTERDOWN x\r\n", nodes[:1]
        await read_all()
        get = b"$-1\r\n"
        looked_up.clear()
        assert await read_all() == [None] * 100
        assert len(looked_up) == 1
        assert list(store._topology._nodes) == [("127.0.0.1", nodes[0])]
        asking = asyncio.create_task(read_all())
        store._topology._slots = []
        await asyncio.sleep(0)
        await store.close()
        assert {type(one) for one in await asking} == {BackendUnavailableError}

    with answering(answer) as port:
        nodes[:] = [port, 1]
        asyncio.run(main(f"redis+cluster://127.0.0.1:{port}"))


def test_no_time_for_the_slots(valkey_proxy: Proxy) -> None:
    """Who waits for another's look-up of the slots ends by the own deadline (C18)."""

    async def main() -> None:
        url = StoreURL.parse(f"redis+cluster://127.0.0.1:{valkey_proxy.port}")
        store: Any = fibonacci_storage(StoreSettings(url=url)).create_async_store()
        reads = [store.read(KEY, deadline=time.monotonic() + seconds) for seconds in (0.2, 0.05)]
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in results] == [BackendUnavailableError] * 2
        await store.close()

    with valkey_proxy.fault(BlackHole()):
        asyncio.run(main())


def test_primary_that_moves(open_client: Any) -> None:
    """When the sentinels name another primary, the one before is left."""
    where: list[int] = []

    def answer(data: bytes) -> bytes:
        if b"SENTINEL" in data:
            return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(where[0])), where[0])
        return b"-READONLY replica\r\n"

    with answering(answer) as before, answering(lambda _: b"$1\r\n1\r\n") as after:
        client = open_client(f"redis+sentinel://127.0.0.1:{before}/main")
        where[:] = [before]
        with pytest.raises(BackendUnavailableError):
            client("read", KEY)
        where[:] = [after]
        assert client("read", KEY) == b"1"
        assert client("read", KEY) == b"1"
