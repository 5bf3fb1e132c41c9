"""A connection that all callers of a loop share: each has its own answer, in its own time."""

import asyncio
import socket
import time
from typing import Any

import pytest
from services.faults import BlackHole
from services.proxy import Proxy
from services.standalone import Redis
from services.tls import TLSTerminator

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin import ABSENT, Address, Space, StoreSettings, StoreURL
from fibonacci_redis import fibonacci_storage
from fibonacci_redis.async_node import _ConnectionAttempt

SPACE = Space("t:shared:", "workflow", "w")
KEY = Address(SPACE, "k")


def awaited(url: str, **options: str) -> Any:
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


def test_closed_while_connecting(valkey_proxy: Proxy) -> None:
    """Who waits for a connection when the store is closed is message, and is not left waiting."""

    async def main() -> None:
        store = awaited(valkey_proxy.url.replace("/0", "/1"))
        with valkey_proxy.fault(BlackHole()):
            asking = asyncio.create_task(store.read(KEY, deadline=soon(0.5)))
            await asyncio.sleep(0.05)
            await store.close()
            with pytest.raises(BackendUnavailableError, match="was closed"):
                await asking

    asyncio.run(main())


def test_closed_while_asking(valkey_proxy: Proxy) -> None:
    """Who waits for an answer when the store is closed is told that it is lost."""

    async def main() -> None:
        store = awaited(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        with valkey_proxy.fault(BlackHole()):
            asking = asyncio.create_task(store.write(KEY, b"1", None, deadline=soon()))
            await asyncio.sleep(0.05)
            await store.close()
            with pytest.raises(OutcomeUnknownError):
                await asking

    asyncio.run(main())


def test_less_time_than_others(valkey_proxy: Proxy) -> None:
    """Each caller of a shared connection ends by its own deadline, whoever is first (C18)."""

    async def timed(store: Any, seconds: float) -> float:
        start = time.monotonic()
        with pytest.raises(BackendUnavailableError):
            await store.read(KEY, deadline=soon(seconds))
        return time.monotonic() - start

    async def main() -> list[float]:
        store = awaited(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        with valkey_proxy.fault(BlackHole()):
            found = await asyncio.gather(*[timed(store, s) for s in (0.6, 0.2, 0.4)])
            await store.close()
        return found

    for seconds, took in zip((0.6, 0.2, 0.4), asyncio.run(main()), strict=True):
        assert seconds - 0.05 < took < seconds + 0.3


def test_retired(served: tuple[str, dict[str, str]]) -> None:
    """A connection that is given up serves those who wait on it first (C19)."""
    url, options = served

    async def main() -> None:
        store = awaited(url, **options)
        await store.write(KEY, b"1", None, deadline=soon())
        asking = [asyncio.create_task(store.read(KEY, deadline=soon())) for _ in range(5)]
        asking[0].cancel()
        await asyncio.sleep(0)
        store._topology._node.drop_connections()
        assert await asyncio.gather(*asking[1:]) == [b"1"] * 4
        assert await store.remove(KEY, deadline=soon()) is True
        await store.close()

    asyncio.run(main())


def test_first_callers_share_one_connection(valkey_proxy: Proxy) -> None:
    """Callers that come while the first connection is made wait for it, and make no other."""

    async def main() -> None:
        store = awaited(valkey_proxy.url)
        asking = [asyncio.create_task(store.read(KEY, deadline=soon())) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()
        assert await asyncio.gather(*asking[1:]) == [None] * 4
        await store.close()

    with valkey_proxy.record() as traffic:
        asyncio.run(main())
    assert traffic.connections == 1


def test_first_callers_when_it_fails(valkey_proxy: Proxy) -> None:
    """A connection that was not made is tried again for those who have time left."""

    async def main() -> None:
        store = awaited(valkey_proxy.url.replace("/0", "/1"))
        with valkey_proxy.fault(BlackHole()):
            hasty = asyncio.create_task(store.read(KEY, deadline=soon(0.1)))
            await asyncio.sleep(0)
            hastier = asyncio.create_task(store.read(KEY, deadline=soon(0.05)))
            patient = [asyncio.create_task(store.read(KEY, deadline=soon())) for _ in range(2)]
            for asking in (hastier, hasty):
                with pytest.raises(BackendUnavailableError):
                    await asking
        assert await asyncio.gather(*patient) == [None, None]
        await store.close()

    asyncio.run(main())


def test_more_than_the_socket_takes(served: tuple[str, dict[str, str]]) -> None:
    """Large writes at the same time wait for the socket, and arrive whole."""
    url, options = served
    data = [bytes([65 + number]) * 3_000_000 for number in range(4)]

    async def main() -> None:
        store = awaited(url, **options)
        addresses = [Address(SPACE, f"large{number}") for number in range(4)]
        items = zip(addresses, data, strict=True)
        await asyncio.gather(*[store.write(*item, None, deadline=soon(20)) for item in items])
        assert await store.read_many(addresses, deadline=soon(20)) == data
        await store.clear(SPACE, deadline=soon())
        await store.close()

    asyncio.run(main())


def test_broken_pipe(valkey_server: Redis) -> None:
    """A request that the socket does not take was surely not sent (C18)."""

    async def main() -> None:
        store = awaited(valkey_server.url)
        await store.read(KEY, deadline=soon())
        store._topology._node._shared._socket.shutdown(socket.SHUT_WR)
        with pytest.raises(BackendUnavailableError):
            await store.write(KEY, b"1", None, deadline=soon())
        assert await store.read(KEY, deadline=soon()) is None
        await store.close()

    asyncio.run(main())


def test_reset_while_others_wait(valkey_proxy: Proxy) -> None:
    """A request that meets a broken connection was surely not sent (C18)."""

    async def main() -> None:
        store = awaited(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        valkey_proxy.begin(BlackHole())
        first = asyncio.create_task(store.read(KEY, deadline=soon()))
        await asyncio.sleep(0.02)
        valkey_proxy.drop(reset=True)
        # Not as a task: it has to be sent before the loop hears of the reset.
        with pytest.raises(BackendUnavailableError):
            await store.write(KEY, b"1", None, deadline=soon())
        with pytest.raises(BackendUnavailableError):
            await first
        valkey_proxy.heal()
        assert await store.read(KEY, deadline=soon()) is None
        await store.close()

    asyncio.run(main())


def test_impatient_neighbour(valkey_proxy: Proxy) -> None:
    """A caller with less time than others breaks nothing for them, and gets no one's answer."""

    async def main() -> None:
        store = awaited(valkey_proxy.url)
        addresses = [Address(SPACE, f"k{number}") for number in range(5)]
        await store.write(KEY, b"0", None, deadline=soon())
        with valkey_proxy.fault(BlackHole()):
            hasty = asyncio.create_task(store.read(KEY, deadline=soon(0.1)))
            await asyncio.sleep(0)
            writes = [
                asyncio.create_task(store.compare_and_set(one, ABSENT, b"1", None, deadline=soon()))
                for one in addresses
            ]
            with pytest.raises(BackendUnavailableError):
                await hasty
            await asyncio.sleep(0.05)
        assert await asyncio.gather(*writes) == [True] * 5
        found = await store.read_many([KEY, *addresses], deadline=soon())
        assert found == [b"0", *[b"1"] * 5]
        await store.clear(SPACE, deadline=soon())
        await store.close()

    asyncio.run(main())


def test_silent_connection(valkey_proxy: Proxy) -> None:
    """A connection on which an overdue caller heard nothing gets no new requests."""

    async def main() -> None:
        store = awaited(valkey_proxy.url)
        await store.read(KEY, deadline=soon())
        valkey_proxy.begin(BlackHole())
        patient = asyncio.create_task(store.read(KEY, deadline=soon(1.5)))
        with valkey_proxy.record() as traffic:
            for _ in range(5):  # as many connections would not help
                with pytest.raises(BackendUnavailableError):
                    await store.read(KEY, deadline=soon(0.05))
        assert traffic.connections == 0
        await asyncio.sleep(0.3)
        with pytest.raises(BackendUnavailableError):
            await store.read(KEY, deadline=soon(0.05))
        with valkey_proxy.record() as traffic, pytest.raises(BackendUnavailableError):
            await store.read(KEY, deadline=soon(0.05))
        assert traffic.connections == 1
        with pytest.raises(BackendUnavailableError):
            await patient
        valkey_proxy.heal()
        assert await store.read(KEY, deadline=soon()) is None
        assert valkey_proxy.open == 1
        await store.close()

    asyncio.run(main())


def test_replaced_while_connecting(valkey_proxy: Proxy) -> None:
    """Who waits for a connection to a server that was replaced meanwhile is sent elsewhere."""

    async def main() -> None:
        store = awaited(valkey_proxy.url)
        asking = asyncio.create_task(store.read(KEY, deadline=soon()))
        await asyncio.sleep(0)
        store._topology._node.retire()
        for read in (asking, store.read(KEY, deadline=soon())):
            with pytest.raises(BackendUnavailableError):
                await read

    asyncio.run(main())
    late = soon()
    while valkey_proxy.open:  # the proxy has yet to hear of the end
        assert time.monotonic() < late
        time.sleep(0.005)


def test_left_while_connecting(valkey_proxy: Proxy) -> None:
    """A connection that was being made when its caller left is closed as soon as it is made."""

    async def main() -> None:
        store = awaited(valkey_proxy.url)
        endpoint = store._topology._node.endpoint
        early, late = _ConnectionAttempt(endpoint, soon()), _ConnectionAttempt(endpoint, soon())
        early.abandon()
        assert early.connect([endpoint.host]).socket.fileno() == -1
        link = late.connect([endpoint.host])
        late.abandon()
        assert link.socket.fileno() == -1

    asyncio.run(main())
