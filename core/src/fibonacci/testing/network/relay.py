"""The part of the proxy that lives in its event loop."""

import asyncio
import socket
from contextlib import suppress

from fibonacci.testing.network.address import Address
from fibonacci.testing.network.clients import clients
from fibonacci.testing.network.connection import ProxiedConnection
from fibonacci.testing.network.faults import CutError, Pass
from fibonacci.testing.network.listener import Listener
from fibonacci.testing.network.traffic import Traffic

NOTICED_WITHIN = 2.0
"""Seconds in which clients can know that their connections ended."""


class Relay:
    """Accepts connections, and relays each to the server."""

    def __init__(self, listener: Listener, server: Address) -> None:
        self.server = server
        self.fault: Pass = Pass()
        self.changed = asyncio.Event()
        self.traffic = Traffic()
        self._opened = 0
        self._strikes = 0
        self._connections: dict[ProxiedConnection, asyncio.Task[None]] = {}
        self._listener = listener

    async def open(self) -> int:
        """How many connections are open."""
        self._accept()
        return len(self._connections)

    async def begin(self, fault: Pass) -> None:
        """Apply `fault` from here on, to open connections too."""
        self._accept()
        self.fault = fault
        self._strikes = 0
        for connection in self._connections:
            connection.rearm()
        self._release()
        if fault.strikes:
            await self.drop(fault.strikes)
        self._listen(fault.listens)

    async def drop(self, how: CutError) -> None:
        """End all open connections, and return when their clients can know."""
        self._accept()
        tasks = list(self._connections.values())
        peers = {connection.peer for connection in self._connections}
        for connection in self._connections:
            connection.end(how)
        await asyncio.gather(*tasks)
        # A client that does not read what it was sent before never knows.
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTICED_WITHIN):
                while peers & clients(self._listener.port):  # noqa: ASYNC110 - no event is set
                    await asyncio.sleep(0.001)

    async def close(self) -> None:
        """End all connections, and stop listening."""
        self._listen(False)
        await self.drop(CutError())
        self._listener.close()

    def struck(self, times: int | None) -> None:
        """Count a connection that the fault ended; after `times` of them it is over."""
        self._strikes += 1
        if self._strikes == times:
            self.fault = Pass()
            self._release()

    def _release(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def _listen(self, wanted: bool) -> None:
        loop, listener = asyncio.get_running_loop(), self._listener
        if wanted and not listener.listening:
            listener.listen()
            loop.add_reader(listener.socket, self._accept)
        elif not wanted and listener.listening:
            loop.remove_reader(listener.socket)
            listener.refuse()

    def _accept(self) -> None:
        """Relay the clients that have connected since."""
        with suppress(BlockingIOError):
            while self._listener.listening:
                self._relay(*self._listener.socket.accept())

    def _relay(self, client: socket.socket, address: tuple[str, int]) -> None:
        client.setblocking(False)
        self._opened += 1
        self.traffic.connections += 1
        connection = ProxiedConnection(self, self._opened, client, peer=address[1])
        if self.fault.strikes:
            connection.end(self.fault.strikes)
        self._connections[connection] = task = asyncio.create_task(connection.run())
        task.add_done_callback(lambda _: self._connections.pop(connection))
