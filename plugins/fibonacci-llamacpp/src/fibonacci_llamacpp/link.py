"""A connection to llama.cpp's server, blocking or on the event loop, with one deadline."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Protocol, Self

from fibonacci.errors import ModelError
from fibonacci_llamacpp.engine import Engine

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

CHUNK = 65_536


class Link(Protocol):
    """What a conversation needs. Closing it makes llama.cpp stop at the next token."""

    async def send(self, data: bytes) -> None:
        """Send all of the data."""

    async def receive(self) -> bytes:
        """Return what came next; nothing, if the other side has closed."""
        ...

    def close(self) -> None:
        """Close the connection, whatever it is doing."""


class BlockingLink:
    """Blocks its thread; its coroutines never wait for anything else."""

    def __init__(self, connection: socket.socket, deadline: float | None) -> None:
        self._connection = connection
        self._deadline = deadline

    @classmethod
    async def open(cls, engine: Engine, deadline: float | None) -> Self:
        link = cls(socket.socket(socket.AF_UNIX), deadline)
        try:
            address = engine.address()
            with link._in_time():
                link._connection.connect(address)
        except BaseException:
            link.close()
            raise
        return link

    async def send(self, data: bytes) -> None:
        with self._in_time():
            self._connection.sendall(data)

    async def receive(self) -> bytes:
        with self._in_time():
            return self._connection.recv(CHUNK)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        with _translated():
            self._connection.settimeout(_left(self._deadline))
            yield


class LoopLink:
    """Waits on the running event loop."""

    def __init__(
        self, reader: "StreamReader", writer: "StreamWriter", deadline: float | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._deadline = deadline

    @classmethod
    async def open(cls, engine: Engine, deadline: float | None) -> Self:
        import asyncio  # only async programs pay for it: 62 ms

        if not engine.is_loaded:
            await asyncio.to_thread(engine.address)
        with _translated():
            async with asyncio.timeout(_left(deadline)):
                reader, writer = await asyncio.open_unix_connection(engine.address())
        return cls(reader, writer, deadline)

    async def send(self, data: bytes) -> None:
        import asyncio

        with _translated():
            async with asyncio.timeout(_left(self._deadline)):
                self._writer.write(data)
                await self._writer.drain()

    async def receive(self) -> bytes:
        import asyncio

        with _translated():
            async with asyncio.timeout(_left(self._deadline)):
                return await self._reader.read(CHUNK)

    def close(self) -> None:
        self._writer.transport.abort()


def _left(deadline: float | None) -> float | None:
    """Return the seconds that are left; TimeoutError when none are."""
    if deadline is None:
        return None
    if (left := deadline - monotonic()) <= 0:
        raise TimeoutError
    return left


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
