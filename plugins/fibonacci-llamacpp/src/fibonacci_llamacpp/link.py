"""A connection to llama.cpp's server, with one deadline, for a thread or for an event loop."""

from typing import Final, Self

from fibonacci_llamacpp.deadline import left, translated
from fibonacci_llamacpp.engine import Engine
from fibonacci_llamacpp.server import Server

CHUNK: Final = 65_536


class Link:
    """Blocks its thread: its coroutines never wait for anything else."""

    def __init__(self, server: Server, deadline: float | None) -> None:
        self._server = server
        self._deadline = deadline
        self._socket = server.connect()

    @classmethod
    async def open(cls, engine: Engine, deadline: float | None) -> Self:
        """Return a connection, once the model is loaded. Raises ModelError."""
        with translated():
            return cls(engine.server(deadline), deadline)

    async def send(self, data: bytes) -> None:
        """Send all of the data. Raises ModelError, at the deadline too."""
        with translated():
            self._socket.settimeout(left(self._deadline))
            self._socket.sendall(data)

    async def receive(self) -> bytes:
        """Return what came, or nothing if the server has closed. Raises ModelError."""
        with translated():
            self._socket.settimeout(left(self._deadline))
            return self._socket.recv(CHUNK)

    def close(self) -> None:
        """Close the connection, whatever it is doing."""
        self._server.disconnect(self._socket)


class LoopLink(Link):
    """Waits on the running event loop."""

    @classmethod
    async def open(cls, engine: Engine, deadline: float | None) -> Self:
        import asyncio  # only async programs pay for it: 62 ms

        with translated():
            if not engine.is_ready:
                await asyncio.to_thread(engine.server, deadline)
            link = cls(engine.server(deadline), deadline)
            link._socket.setblocking(False)
            return link

    async def send(self, data: bytes) -> None:
        import asyncio

        with translated():
            async with asyncio.timeout(left(self._deadline)):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        import asyncio

        with translated():
            async with asyncio.timeout(left(self._deadline)):
                return await asyncio.get_running_loop().sock_recv(self._socket, CHUNK)
