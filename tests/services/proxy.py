"""A TCP proxy in front of a server, which simulates network faults.

with Proxy(server) as proxy:
    store = connect(proxy.url)
    with proxy.fault(Delay(replies=0.2)):
        ...
    with proxy.record() as traffic:
        store.get("k")
    assert traffic.round_trips == 1
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Protocol, Self, TypeVar

from services import ports
from services.faults import CutError, Pass
from services.relay import Relay
from services.traffic import Traffic

T = TypeVar("T")


class Target(Protocol):
    """A server that a proxy can be put in front of."""

    host: str
    port: int
    url: str


class Proxy:
    """Passes everything on until a fault begins. Its url is the server's, with its own port.

    If the server refuses, a connection is reset: it was accepted before that could be known.
    """

    host = ports.LOOPBACK

    def __init__(self, server: Target) -> None:
        self.port = ports.claim()
        self.url = server.url.replace(f"{server.host}:{server.port}", f"{self.host}:{self.port}", 1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._relay = Relay(self.port, (server.host, server.port))
        self.begin(Pass())

    @property
    def open(self) -> int:
        """How many connections are open."""
        return self._do(self._relay.open())

    @property
    def traffic(self) -> Traffic:
        """Return what was recorded since the proxy, or the last `record`, began."""
        return self._relay.traffic

    def begin(self, fault: Pass) -> None:
        """Apply `fault`, to open connections too, when this returns."""
        self._do(self._relay.begin(fault))

    def heal(self) -> None:
        """End the fault. What was held passes on."""
        self.begin(Pass())

    @contextmanager
    def fault(self, fault: Pass) -> Iterator[None]:
        """Apply `fault` inside the block."""
        self.begin(fault)
        try:
            yield
        finally:
            self.heal()

    def drop(self, *, reset: bool = False) -> None:
        """End the connections that are open, once; new ones are accepted."""
        self._do(self._relay.drop(CutError(reset=reset)))

    @contextmanager
    def record(self) -> Iterator[Traffic]:
        """Record what passes from here on, separately from before."""
        self._relay.traffic = Traffic()
        yield self._relay.traffic

    def close(self) -> None:
        """End all connections, stop listening, and release the port."""
        self._do(self._relay.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        ports.release(self.port)

    def _do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
