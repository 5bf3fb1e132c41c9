"""Servers with unexpected replies, and moments that are hard to hit with a real one."""

import asyncio
import signal
import socket
import threading
import time
import traceback
from typing import Any

import pytest
from alarms import Alarm, alarms
from services.proxy import Proxy
from services.standalone import Redis
from services.waiting import wait_until

from fibonacci import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import Address, Space, StoreSettings, StoreURL, run_sync
from fibonacci.testing.network import BlackHole, Cut
from fibonacci_redis import fibonacci_storage
from fibonacci_redis.commands import remove_request
from fibonacci_redis.layout import space_keys
from fibonacci_redis.store import MAX_RECENTLY_WRITTEN

from .fakes import fake_server

SPACE = Space("t:odd:", "workflow", "w")
KEY = Address(SPACE, "k")


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n", b"\x00\x01\r\n"])
def test_other_protocol_is_an_error(reply: bytes, open_client: Any) -> None:
    """A server with another protocol is an error, and its bytes are not used."""
    with fake_server(lambda _: reply) as port:
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
def test_rejected_login_is_not_retried(reply: bytes, message: str, open_client: Any) -> None:
    """A login that is rejected in any wording is sent once."""
    logins = []

    def get_reply(data: bytes) -> bytes:
        logins.append(data)
        return reply + b"\r\n"

    with fake_server(get_reply) as port, pytest.raises(StorageError, match=message) as caught:
        open_client(f"redis://:hunter2@127.0.0.1:{port}")("read", KEY)
    assert type(caught.value) is StorageError
    assert len(logins) == 1


def test_too_many_connections_is_transient(open_client: Any) -> None:
    """A server that accepts no more connections is a transient error (C20)."""
    reply, message = b"-ERR max concurrent connections exceeded\r\n", "too many clients"
    with (
        fake_server(lambda _: reply) as port,
        pytest.raises(BackendUnavailableError, match=message),
    ):
        open_client(f"redis://127.0.0.1:{port}")("read", KEY)


def test_quoted_value_is_not_in_the_traceback(open_client: Any) -> None:
    """A value that an error reply quotes is not in the frames of the error (C23)."""
    quoting = b"-ERR unknown command 'GET', with args beginning with: 'canary'\r\n"
    with fake_server(lambda _: quoting) as port, pytest.raises(StorageError) as caught:
        open_client(f"redis://127.0.0.1:{port}")("read", KEY)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "canary" not in str([frame.locals for frame in shown.stack if "test_" not in frame.name])


def test_surplus_reply_closes_the_connection(open_client: Any) -> None:
    """A surplus reply closes the connection before the next request."""
    with fake_server(lambda _: b"$1\r\n1\r\n$1\r\n2\r\n") as port:
        client = open_client(f"redis://127.0.0.1:{port}")
        assert client("read", KEY) == b"1"
        time.sleep(0.01)
        assert client("read", KEY) == b"1"


def test_endless_redirects_end(open_client: Any) -> None:
    """A request that nodes redirect in a circle is a transient error."""
    node_port: list[int] = []

    def get_reply(data: bytes) -> bytes:
        if b"SLOTS" in data:
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n" % node_port[0]
        return b"-MOVED 1 :%d\r\n" % node_port[0]

    with fake_server(get_reply) as port:
        node_port.append(port)
        client = open_client(f"redis+cluster://127.0.0.1:{port}")
        with pytest.raises(BackendUnavailableError, match="moved these keys"):
            client("read", KEY)


def test_unknown_error_shows_only_its_code(open_client: Any) -> None:
    """The error for an unknown reply contains only its code: the text may quote a value (C23)."""
    with fake_server(lambda _: b"-ODD about swordfish\r\n") as port:
        client = open_client(f"redis://127.0.0.1:{port}")
        with pytest.raises(StorageError, match="'ODD'") as raised:
            client("read", KEY)
        assert "swordfish" not in str(raised.value)


def test_old_server_is_reported(open_client: Any) -> None:
    """The error for a server older than Redis 7.0 says so."""
    refusal = b"-ERR wrong number of arguments for 'pexpire' command\r\n:0\r\n"
    with fake_server(lambda _: refusal) as port, pytest.raises(StorageError, match="older than"):
        open_client(f"redis://127.0.0.1:{port}")("touch", KEY, 1_000)


def test_partial_batch_has_an_unknown_outcome(
    open_client: Any, valkey_proxy: Proxy, valkey_server: Redis
) -> None:
    """A batch whose second part does not arrive has an unknown outcome (C18)."""
    client = open_client(valkey_proxy.url)
    items = [(Address(SPACE, f"k{number}"), b"x" * 1_000_000) for number in range(10)]
    client("write_many", items[:1], None)
    with valkey_proxy.fault(Cut(requests=6_000_000, times=1)), pytest.raises(OutcomeUnknownError):
        client("write_many", items, None)
    assert 1 < len(client.keys(SPACE)) < 10
    client.clear(SPACE)


def test_pool_size_is_bounded(valkey_server: Redis, open_client: Any) -> None:
    """The pool retains a bounded number of idle connections."""
    client = open_client(valkey_server.url, mode="sync")
    sessions = [
        run_sync(client.store._topology.session(0, time.monotonic() + 5))[0] for _ in range(70)
    ]
    for session in sessions:
        session.release(reusable=True)
    assert len(client.store._topology._node._pool._idle) == 64


def test_unsent_request_is_not_applied(valkey_server: Redis, open_client: Any) -> None:
    """A request that the kernel does not accept was not applied (C18)."""
    client = open_client(valkey_server.url, mode="sync")
    session, execute = run_sync(client.store._topology.session(0, time.monotonic() + 5))
    session._connection.connection.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(BackendUnavailableError, match="connection broke"):
        run_sync(execute(remove_request(space_keys(SPACE), [b"k"])))
    session.release(reusable=False)


def test_recently_written_records_are_bounded(valkey_server: Redis, open_client: Any) -> None:
    """The store remembers a bounded number of written records."""
    client = open_client(valkey_server.url)
    store = client.store
    store._recently_written.update(
        Address(SPACE, f"n{number}") for number in range(MAX_RECENTLY_WRITTEN)
    )
    client("write", KEY, b"1", None)
    assert store._recently_written == {KEY}
    client.clear(SPACE)


def test_session_connection_is_checked_before_reuse(open_client: Any, valkey_proxy: Proxy) -> None:
    """A pooled connection for compare-and-set is checked before it is used again (C20)."""
    client = open_client(valkey_proxy.url)
    long = b"x" * 9_000
    client("write", KEY, b"1", None)
    assert client("compare_and_set", KEY, b"1", long, None) is True
    assert client("compare_and_set", KEY, b"1", long, None) is False
    valkey_proxy.drop()
    time.sleep(0.01)
    assert client("compare_and_set", KEY, long, b"1", None) is True
    client("remove", KEY)


def test_interrupted_call_leaves_no_reply_behind(open_client: Any, valkey_proxy: Proxy) -> None:
    """A caller that is interrupted while it waits leaves no reply for the next one (C19)."""
    client = open_client(valkey_proxy.url, mode="sync")
    client("write_many", [(KEY, b"1"), (Address(SPACE, "other"), b"2")], None)
    with (
        alarms(),
        valkey_proxy.fault(BlackHole(requests=False)),
        valkey_proxy.record() as traffic,
    ):

        def interrupt() -> None:
            wait_until(lambda: b"GET" in traffic.requests, 5)  # its caller waits for the reply
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(Alarm):
            client("read", KEY)
        interrupter.join()
    assert client("read", Address(SPACE, "other")) == b"2"
    client.clear(SPACE)


def test_loading_sentinel_is_transient(open_client: Any) -> None:
    """A sentinel that is loading is a transient error."""
    with fake_server(lambda _: b"-LOADING wait\r\n") as port:
        client = open_client(f"redis+sentinel://127.0.0.1:{port}/main")
        with pytest.raises(BackendUnavailableError, match="is loading"):
            client("read", KEY)


def test_broken_node_is_discovered_again(open_client: Any) -> None:
    """A node or primary whose connection breaks is looked up again (C20)."""
    node_port: list[int] = []
    queries: list[bytes] = []

    def get_reply(data: bytes) -> bytes:
        if b"SLOTS" in data:
            queries.append(data)
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n" % node_port[0]
        if b"SENTINEL" in data:
            queries.append(data)
            return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (
                len(str(node_port[0])),
                node_port[0],
            )
        return b"broken\r\n"

    with fake_server(get_reply) as port:
        node_port.append(port)
        for url in (f"redis+cluster://127.0.0.1:{port}", f"redis+sentinel://127.0.0.1:{port}/main"):
            client = open_client(url)
            queries.clear()
            for _ in range(2):
                with pytest.raises(BackendUnavailableError):
                    client("read", KEY)
            assert len(queries) == 2


def slots_reply(*ports: int) -> bytes:
    """Return the reply to CLUSTER SLOTS of nodes that share the slots."""
    share = 16_384 // len(ports)
    rows = [
        b"*3\r\n:%d\r\n:%d\r\n*2\r\n$0\r\n\r\n:%d\r\n" % (n * share, (n + 1) * share - 1, port)
        for n, port in enumerate(ports)
    ]
    return b"*%d\r\n%b" % (len(rows), b"".join(rows))


def test_callers_share_one_discovery() -> None:
    """All callers share one query for the slots, and removed nodes are not used again."""
    nodes: list[int] = []
    queries: list[bytes] = []
    get = b"$-1\r\n"

    def get_reply(data: bytes) -> bytes:
        if b"SLOTS" in data:
            queries.append(data)
            return slots_reply(*nodes)
        return get * data.count(b"GET")

    async def main(url: str) -> None:
        nonlocal get
        store: Any = fibonacci_storage(StoreSettings(url=StoreURL.parse(url))).create_async_store()

        async def read_all() -> list[Any]:
            addresses = [Address(Space("t:odd:", "workflow", f"w{n}"), "k") for n in range(100)]
            reads = [store.read(address, deadline=time.monotonic() + 5) for address in addresses]
            return await asyncio.gather(*reads, return_exceptions=True)

        found = await read_all()
        assert None in found
        assert BackendUnavailableError in map(type, found)  # one of the two nodes is down
        assert len(queries) == 1
        get, nodes[:] = b"-CLUSTERDOWN x\r\n", nodes[:1]
        await read_all()
        get = b"$-1\r\n"
        queries.clear()
        assert await read_all() == [None] * 100
        assert len(queries) == 1
        assert list(store._topology._nodes) == [("127.0.0.1", nodes[0])]
        reads = asyncio.create_task(read_all())
        store._topology._slots = []
        await asyncio.sleep(0)
        await store.close()
        assert {type(error) for error in await reads} == {BackendUnavailableError}

    with fake_server(get_reply) as port:
        nodes[:] = [port, 1]
        asyncio.run(main(f"redis+cluster://127.0.0.1:{port}"))


def test_waiter_for_the_slots_has_its_own_deadline(valkey_proxy: Proxy) -> None:
    """A caller that waits for another's query of the slots ends by its own deadline (C18)."""

    async def main() -> None:
        url = StoreURL.parse(f"redis+cluster://127.0.0.1:{valkey_proxy.port}")
        store: Any = fibonacci_storage(StoreSettings(url=url)).create_async_store()
        reads = [store.read(KEY, deadline=time.monotonic() + seconds) for seconds in (0.2, 0.05)]
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in results] == [BackendUnavailableError] * 2
        await store.close()

    with valkey_proxy.fault(BlackHole()):
        asyncio.run(main())


def test_new_primary_replaces_the_old_one(open_client: Any) -> None:
    """The old primary is not used after the sentinels name another one."""
    node_port: list[int] = []

    def get_reply(data: bytes) -> bytes:
        if b"SENTINEL" in data:
            return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (
                len(str(node_port[0])),
                node_port[0],
            )
        return b"-READONLY replica\r\n"

    with fake_server(get_reply) as before, fake_server(lambda _: b"$1\r\n1\r\n") as after:
        client = open_client(f"redis+sentinel://127.0.0.1:{before}/main")
        node_port[:] = [before]
        with pytest.raises(BackendUnavailableError):
            client("read", KEY)
        node_port[:] = [after]
        assert client("read", KEY) == b"1"
        assert client("read", KEY) == b"1"
