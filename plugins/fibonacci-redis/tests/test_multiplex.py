"""The connection that all callers of an event loop share."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from services.proxy import Proxy
from services.standalone import Redis
from services.tls import TLSTerminator

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, Address, Space, StoreSettings, StoreURL
from fibonacci.testing.network import BlackHole
from fibonacci_redis import fibonacci_storage, multiplex
from fibonacci_redis.async_node import _ConnectionAttempt

SPACE = Space("t:shared:", "workflow", "w")
KEY = Address(SPACE, "k")


def async_store(url: str, **options: str) -> Any:
    settings = StoreSettings(url=StoreURL.parse(url), options=options)
    return fibonacci_storage(settings).create_async_store()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def served(
    request: pytest.FixtureRequest, valkey_server: Redis, valkey_tls: TLSTerminator, tls_of: Any
) -> tuple[str, dict[str, str]]:
    """URL and options of a server, without TLS and with it."""
    if not request.param:
        return valkey_server.url, {}
    return valkey_tls.url, tls_of(valkey_tls)


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, while the event loop goes on; fail after 5 s."""
    late = soon()
    while not condition():
        assert time.monotonic() < late
        await asyncio.sleep(0.005)


def test_close_fails_callers_that_wait_for_a_connection(valkey_proxy: Proxy) -> None:
    """A caller that waits for a connection when the store is closed gets an error at once."""

    async def main() -> None:
        store = async_store(valkey_proxy.url.replace("/0", "/1"))
        with valkey_proxy.fault(BlackHole()):
            first_read = asyncio.create_task(store.read(KEY, deadline=soon(0.5)))
            await asyncio.sleep(0.05)
            await store.close()
            with pytest.raises(BackendUnavailableError, match="was closed"):
                await first_read

    asyncio.run(main())


def test_close_fails_pending_requests(valkey_proxy: Proxy) -> None:
    """A write that is pending when the store is closed has an unknown outcome."""

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        with valkey_proxy.fault(BlackHole()):
            write = asyncio.create_task(store.write(KEY, b"1", None, deadline=soon()))
            await asyncio.sleep(0.05)
            await store.close()
            with pytest.raises(OutcomeUnknownError):
                await write

    asyncio.run(main())


def test_close_fails_requests_that_wait_to_be_sent(
    valkey_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two writes in one iteration of the loop, a close at its end leaves the second unsent."""
    monkeypatch.setattr(multiplex, "PING_AFTER", 60.0)  # or a busy machine may send a PING before

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        with valkey_proxy.fault(BlackHole()):
            sent, unsent = (
                asyncio.create_task(store.write(KEY, b"1", None, deadline=soon())) for _ in range(2)
            )
            await asyncio.sleep(0)
            await store.close()
            with pytest.raises(OutcomeUnknownError):
                await sent
            with pytest.raises(BackendUnavailableError):
                await unsent

    asyncio.run(main())


def test_callers_end_by_their_own_deadlines(valkey_proxy: Proxy) -> None:
    """Each caller of a shared connection ends by its own deadline, in any order (C18)."""

    async def timed(store: Any, seconds: float) -> float:
        start = time.monotonic()
        with pytest.raises(BackendUnavailableError):
            await store.read(KEY, deadline=soon(seconds))
        return time.monotonic() - start

    async def main() -> list[float]:
        store = async_store(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        with valkey_proxy.fault(BlackHole()):
            found = await asyncio.gather(*[timed(store, s) for s in (0.6, 0.2, 0.4)])
            await store.close()
        return found

    for seconds, took in zip((0.6, 0.2, 0.4), asyncio.run(main()), strict=True):
        assert seconds - 0.05 < took < seconds + 0.3


def test_retired_connection_serves_pending_requests(served: tuple[str, dict[str, str]]) -> None:
    """A connection that is retired serves its pending requests first (C19)."""
    url, options = served

    async def main() -> None:
        store = async_store(url, **options)
        await store.write(KEY, b"1", None, deadline=soon())
        reads = [asyncio.create_task(store.read(KEY, deadline=soon())) for _ in range(5)]
        reads[0].cancel()
        await asyncio.sleep(0)
        store._topology._node.drop_connections()
        assert await asyncio.gather(*reads[1:]) == [b"1"] * 4
        assert await store.remove(KEY, deadline=soon()) is True
        await store.close()

    asyncio.run(main())


def test_first_callers_share_one_connection(valkey_proxy: Proxy) -> None:
    """Callers that arrive during the first connection attempt share it."""

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        reads = [asyncio.create_task(store.read(KEY, deadline=soon())) for _ in range(5)]
        await asyncio.sleep(0)
        reads[0].cancel()
        assert await asyncio.gather(*reads[1:]) == [None] * 4
        await store.close()

    with valkey_proxy.record() as traffic:
        asyncio.run(main())
    assert traffic.connections == 1


def test_failed_connection_attempt_is_retried(valkey_proxy: Proxy) -> None:
    """A failed connection attempt is retried for the callers with time left."""

    async def main() -> None:
        store = async_store(valkey_proxy.url.replace("/0", "/1"))
        with valkey_proxy.fault(BlackHole()):
            short = asyncio.create_task(store.read(KEY, deadline=soon(0.1)))
            await asyncio.sleep(0)
            shorter = asyncio.create_task(store.read(KEY, deadline=soon(0.05)))
            long = [asyncio.create_task(store.read(KEY, deadline=soon())) for _ in range(2)]
            for read in (shorter, short):
                with pytest.raises(BackendUnavailableError):
                    await read
        assert await asyncio.gather(*long) == [None, None]
        await store.close()

    asyncio.run(main())


def test_large_concurrent_writes_arrive_whole(served: tuple[str, dict[str, str]]) -> None:
    """Large concurrent writes wait for the socket, and arrive whole."""
    url, options = served
    data = [bytes([65 + number]) * 3_000_000 for number in range(4)]

    async def main() -> None:
        store = async_store(url, **options)
        addresses = [Address(SPACE, f"large{number}") for number in range(4)]
        items = zip(addresses, data, strict=True)
        await asyncio.gather(*[store.write(*item, None, deadline=soon(20)) for item in items])
        assert await store.read_many(addresses, deadline=soon(20)) == data
        await store.clear(SPACE, deadline=soon())
        await store.close()

    asyncio.run(main())


def test_unsent_request_is_not_applied(
    valkey_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that the socket does not accept was not applied (C18)."""
    # On a busy machine the connection is idle for longer, and the server's end is found first.
    monkeypatch.setattr(multiplex, "IDLE_CHECK_AFTER", 60.0)

    async def main() -> None:
        store = async_store(valkey_server.url)
        await store.read(KEY, deadline=soon())
        store._topology._node._shared._socket.shutdown(socket.SHUT_WR)
        with pytest.raises(BackendUnavailableError):
            await store.write(KEY, b"1", None, deadline=soon())
        assert await store.read(KEY, deadline=soon()) is None
        await store.close()

    asyncio.run(main())


def test_request_on_a_reset_connection_is_not_applied(valkey_proxy: Proxy) -> None:
    """A request on a connection that was reset was not applied (C18)."""

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        valkey_proxy.begin(BlackHole())
        first = asyncio.create_task(store.read(KEY, deadline=soon()))
        await asyncio.sleep(0.02)
        valkey_proxy.drop(reset=True)
        # Not as a task: it has to be sent before the loop reads the reset.
        with pytest.raises(BackendUnavailableError):
            await store.write(KEY, b"1", None, deadline=soon())
        with pytest.raises(BackendUnavailableError):
            await first
        valkey_proxy.heal()
        assert await store.read(KEY, deadline=soon()) is None
        await store.close()

    asyncio.run(main())


def test_timed_out_caller_does_not_affect_others(valkey_proxy: Proxy) -> None:
    """A caller that times out changes neither the outcome nor the replies of others."""

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        addresses = [Address(SPACE, f"k{number}") for number in range(5)]
        await store.write(KEY, b"0", None, deadline=soon())
        with valkey_proxy.fault(BlackHole()):
            short = asyncio.create_task(store.read(KEY, deadline=soon(0.1)))
            await asyncio.sleep(0)
            writes = [
                asyncio.create_task(
                    store.compare_and_set(address, ABSENT, b"1", None, deadline=soon())
                )
                for address in addresses
            ]
            with pytest.raises(BackendUnavailableError):
                await short
            await asyncio.sleep(0.05)
        assert await asyncio.gather(*writes) == [True] * 5
        found = await store.read_many([KEY, *addresses], deadline=soon())
        assert found == [b"0", *[b"1"] * 5]
        await store.clear(SPACE, deadline=soon())
        await store.close()

    asyncio.run(main())


def test_silent_connection_gets_no_new_requests(
    valkey_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was silent for SILENCE_TIMEOUT after a timeout gets no new requests."""

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        valkey_proxy.begin(BlackHole())
        long = asyncio.create_task(store.read(KEY, deadline=soon(1.5)))
        monkeypatch.setattr(multiplex, "SILENCE_TIMEOUT", 60.0)
        with valkey_proxy.record() as traffic:
            for _ in range(5):  # more connections would not help
                with pytest.raises(BackendUnavailableError):
                    await store.read(KEY, deadline=soon(0.05))
        assert traffic.connections == 0
        monkeypatch.setattr(multiplex, "SILENCE_TIMEOUT", 0.0)
        with valkey_proxy.record() as traffic:
            read = asyncio.create_task(store.read(KEY, deadline=soon(30)))
            await until(lambda: traffic.connections == 1)
        with pytest.raises(BackendUnavailableError):
            await long
        valkey_proxy.heal()
        assert await read is None
        await until(lambda: valkey_proxy.open == 1)
        await store.close()

    asyncio.run(main())


def test_retired_node_fails_callers_that_connect(valkey_proxy: Proxy) -> None:
    """A caller that connects to a node which is retired meanwhile gets an error."""

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        first_read = asyncio.create_task(store.read(KEY, deadline=soon()))
        await asyncio.sleep(0)
        store._topology._node.retire()
        for read in (first_read, store.read(KEY, deadline=soon())):
            with pytest.raises(BackendUnavailableError):
                await read

    asyncio.run(main())
    late = soon()
    while valkey_proxy.open:  # the proxy has not read the end of file yet
        assert time.monotonic() < late
        time.sleep(0.005)


def test_abandoned_connection_is_closed(valkey_proxy: Proxy) -> None:
    """A connection whose caller was cancelled is closed as soon as it is established."""

    async def main() -> None:
        store = async_store(valkey_proxy.url)
        endpoint = store._topology._node.endpoint
        early, late = _ConnectionAttempt(endpoint, soon()), _ConnectionAttempt(endpoint, soon())
        early.abandon()
        assert early.connect([endpoint.host]).socket.fileno() == -1
        connection = late.connect([endpoint.host])
        late.abandon()
        assert connection.socket.fileno() == -1

    asyncio.run(main())
