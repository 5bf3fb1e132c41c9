"""A connection to llama.cpp's server, with one deadline, for a thread or for an event loop."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from fibonacci.errors import ModelError
from fibonacci_llamacpp.server import RunningServer

CHUNK: Final = 65_536


class Link:
    """Blocks its thread: its coroutines never wait for anything else."""

    def __init__(self, server: RunningServer, deadline: float | None) -> None:
        self._server = server
        self._deadline = deadline
        with _translated():
            self._socket = server.connect()

    async def send(self, data: bytes) -> None:
        """Send all of the data. Raises ModelError, at the deadline too."""
        with _translated():
            self._socket.settimeout(self._left())
            self._socket.sendall(data)

    async def receive(self) -> bytes:
        """Return what came, or nothing if the server has closed. Raises ModelError."""
        with _translated():
            self._socket.settimeout(self._left())
            return self._socket.recv(CHUNK)

    def close(self) -> None:
        """Close the connection, whatever it is doing."""
        self._server.disconnect(self._socket)

    def _left(self) -> float | None:
        """Return the seconds that are left; TimeoutError when none are."""
        if self._deadline is None:
            return None
        if (left := self._deadline - monotonic()) <= 0:
            raise TimeoutError
        return left


class LoopLink(Link):
    """Waits on the running event loop."""

    async def send(self, data: bytes) -> None:
        import asyncio  # only async programs pay for it: 62 ms

        with _translated():
            self._socket.setblocking(False)
            async with asyncio.timeout(self._left()):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        import asyncio

        with _translated():
            async with asyncio.timeout(self._left()):
                return await asyncio.get_running_loop().sock_recv(self._socket, CHUNK)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ModelError(
            "llamacpp: the answer did not come by the deadline. Allow more time, ask for fewer "
            "tokens, or take a smaller model",
            retryable=True,
        ) from None
    except OSError as error:
        raise ModelError(f"llamacpp: the connection broke: {error}", retryable=True) from error
