"""A connection to llama.cpp's server, with one deadline, for a thread or for an event loop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from fibonacci.errors import ModelError
from fibonacci.plugin.runtime import raise_for_signal, seconds_left, timeout_at
from fibonacci_llamacpp.engine import Engine
from fibonacci_llamacpp.server import Server

CHUNK: Final = 65_536


@contextmanager
def translated() -> Iterator[None]:
    """Turn what sockets and clocks raise into ModelError."""
    try:
        yield
    except OSError as error:
        raise_for_signal(error)
        raise _told(error) from error


def _told(error: OSError) -> ModelError:
    if isinstance(error, TimeoutError):
        return ModelError(
            "llamacpp: the answer did not come by the deadline. Allow more time, ask for fewer "
            "tokens, or take a smaller model",
            retryable=True,
        )
    return ModelError(f"llamacpp: the connection broke: {error}", retryable=True)


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
            self._socket.settimeout(seconds_left(self._deadline))
            self._socket.sendall(data)

    async def receive(self) -> bytes:
        """Return what came, or nothing if the server has closed. Raises ModelError."""
        with translated():
            self._socket.settimeout(seconds_left(self._deadline))
            return self._socket.recv(CHUNK)

    def close(self) -> None:
        """Close the connection, whatever it is doing."""
        self._server.disconnect(self._socket)


class LoopLink(Link):
    """Waits on the running event loop."""

    @classmethod
    async def open(cls, engine: Engine, deadline: float | None) -> Self:
        with translated():
            link = cls(await engine.aserver(deadline), deadline)
            link._socket.setblocking(False)
            return link

    async def send(self, data: bytes) -> None:
        import asyncio  # only async programs pay for it: 62 ms

        with translated():
            async with timeout_at(self._deadline):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        import asyncio

        with translated():
            async with timeout_at(self._deadline):
                return await asyncio.get_running_loop().sock_recv(self._socket, CHUNK)
