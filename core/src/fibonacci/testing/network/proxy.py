"""A TCP proxy in front of a server."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar

from fibonacci.testing.network.address import address_of
from fibonacci.testing.network.faults import CutError, Pass
from fibonacci.testing.network.listener import Listener
from fibonacci.testing.network.relay import Relay
from fibonacci.testing.network.traffic import Traffic

T = TypeVar("T")


class Proxy:
    """A TCP proxy on loopback; a context manager. It passes everything on until a fault begins.

    If the server refuses, a connection is reset: it was accepted before that could be known.
    """

    host: str
    """127.0.0.1, or ::1 if the server has an IPv6 address."""
    port: int
    """Free, and the proxy's own until it is closed."""

    def __init__(self, host: str, port: int) -> None:
        """Start a proxy in front of the server on this host and port.

        Raises OSError if the host has no address.
        """
        server = address_of(host, port)
        listener = Listener(server.family)
        self.host, self.port = listener.host, listener.port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._relay = Relay(listener, server)
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

    def _do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
