"""One proxied connection."""

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Literal, Never

from fibonacci.testing.network.faults import CutError

if TYPE_CHECKING:
    from fibonacci.testing.network.relay import Relay

Direction = Literal["request", "reply"]

_PIECE = 65_536
_NO_LINGER = struct.pack("ii", 1, 0)  # close sends RST


class ProxiedConnection:
    """A client's connection and its counterpart to the server, in the relay's event loop."""

    older: bool = False
    """Whether it was open when the fault began."""
    armed: bool
    """Whether the fault has seen the request that it waits for."""
    passed: dict[Direction, int]
    """Bytes that the fault has counted."""
    peer: int
    """The client's own port."""

    def __init__(self, relay: "Relay", number: int, client: socket.socket, *, peer: int) -> None:
        self.peer = peer
        self._relay = relay
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[CutError] = self._loop.create_future()
        server = socket.socket(relay.server.family)
        server.setblocking(False)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client, self._server = client, server
        self._unarm()

    def rearm(self) -> None:
        """Reset what an earlier fault noted here, as another begins."""
        self.older = True
        self._unarm()

    def _unarm(self) -> None:
        self.armed = False
        self.passed = {"request": 0, "reply": 0}

    async def run(self) -> None:
        """Pass bytes both ways until a peer, or a fault, ends it."""
        reset = True
        try:
            await self._pass()
        except* OSError:  # the server refuses: reset the client, which was accepted already
            reset = True
        except* CutError as ends:
            reset = any(isinstance(end, CutError) and end.reset for end in ends.exceptions)
        finally:
            self._close(reset=reset)

    def end(self, how: CutError) -> None:
        """End the connection from outside."""
        if not self._end.done():
            self._end.set_result(how)

    def strike(self, how: CutError, *, times: int | None) -> Never:
        """End the connection by the fault, which may be over after it."""
        self._relay.struck(times)
        raise how

    async def send(self, direction: Direction, data: bytes) -> None:
        """Pass a piece on."""
        await self._loop.sock_sendall(
            self._server if direction == "request" else self._client, data
        )

    async def hold(self, direction: Direction, data: bytes) -> None:
        """Hold a piece until another fault begins, and hand it to that one."""
        await self._relay.changed.wait()
        await self._relay.fault.on(direction, data, self)

    async def forget(self) -> Never:
        """Pass nothing on in this direction, ever; the connection still ends with the proxy."""
        raise await self._loop.create_future()

    async def _pass(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until_ended())
            await self._loop.sock_connect(self._server, self._relay.server.address)
            group.create_task(self._pump("request", self._client))
            group.create_task(self._pump("reply", self._server))

    async def _until_ended(self) -> None:
        how = await self._end
        raise CutError(reset=how.reset)  # a new one: its traceback holds this connection

    async def _pump(self, direction: Direction, source: socket.socket) -> None:
        end = CutError()
        try:
            while data := await self._loop.sock_recv(source, _PIECE):
                self._relay.traffic.note(direction, self._number, data)
                await self._relay.fault.on(direction, data, self)
        except ConnectionError:
            end = CutError(reset=True)
        # A side's end is news too: a black hole swallows it.
        await self._relay.fault.on(direction, b"", self)
        raise end

    def _close(self, *, reset: bool) -> None:
        if reset:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._client.close()
        self._server.close()
