"""The half of the proxy that lives in its event loop."""

import asyncio
import socket

from services import ports
from services.faults import Pass, Struck
from services.link import Link
from services.traffic import Traffic


class Relay:
    """Listens on a port, and links every connection to the server behind."""

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self.port = port
        self.target = target
        self.fault: Pass = Pass()
        self.changed = asyncio.Event()
        self.traffic = Traffic()
        self._opened = 0
        self._strikes = 0
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._listening: asyncio.Task[None] | None = None

    @property
    def links(self) -> int:
        return len(self._links)

    async def begin(self, fault: Pass) -> None:
        """Let `fault` rule from here on."""
        self.fault = fault
        self._strikes = 0
        for link in self._links:
            link.rearm()
        self._release()
        if fault.strikes:
            await self.drop(fault.strikes)
        await self._listen(fault.listens)

    async def drop(self, how: Struck) -> None:
        """End all connections that are open."""
        tasks = list(self._links.values())
        for link in self._links:
            link.end(how)
        await asyncio.gather(*tasks)

    async def close(self) -> None:
        await self._listen(False)
        await self.drop(Struck())

    def struck(self, times: int | None) -> None:
        """A connection was ended by the fault; after `times` of them it is over."""
        self._strikes += 1
        if self._strikes == times:
            self.fault = Pass()
            self._release()

    def _release(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def _listen(self, wanted: bool) -> None:
        if wanted and self._listening is None:
            listener = socket.create_server((ports.LOOPBACK, self.port), backlog=128)
            listener.setblocking(False)
            self._listening = asyncio.create_task(self._accept(listener))
        elif not wanted and self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            self._listening = None

    async def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                client, _ = await asyncio.get_running_loop().sock_accept(listener)
                self._opened += 1
                self.traffic.connections += 1
                link = Link(self, self._opened, client)
                if self.fault.strikes:
                    link.end(self.fault.strikes)
                self._links[link] = task = asyncio.create_task(link.run())
                task.add_done_callback(lambda _, link=link: self._links.pop(link))
