"""The client's end of a connection, in sync and in async code."""

import asyncio
import select
import socket
from abc import ABC, abstractmethod
from time import monotonic


def left(deadline):
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


class Connection(ABC):
    def __init__(self, ours):
        self.socket = ours

    def is_dead(self):
        """Return whether an idle connection has ended; anything that came is such a sign."""
        return bool(select.select([self.socket], [], [], 0)[0])

    @abstractmethod
    async def receive(self, size, deadline) -> bytes:
        """Return up to so many bytes; none at the end."""

    async def receive_exactly(self, size, deadline):
        data = b""
        while len(data) < size:
            piece = await self.receive(size - len(data), deadline)
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return data

    def close(self):
        self.socket.close()


class Blocking(Connection):
    @classmethod
    async def open(cls, server, deadline):
        return cls(socket.create_connection(server, timeout=left(deadline)))

    async def send(self, data, deadline):
        self.socket.settimeout(left(deadline))
        self.socket.sendall(data)

    async def receive(self, size, deadline):
        self.socket.settimeout(left(deadline))
        return self.socket.recv(size)


class Awaiting(Connection):
    @classmethod
    async def open(cls, server, deadline):
        connection = cls(socket.socket())
        connection.socket.setblocking(False)
        try:
            async with asyncio.timeout(left(deadline)):
                await asyncio.get_running_loop().sock_connect(connection.socket, server)
        except BaseException:
            connection.close()
            raise
        return connection

    async def send(self, data, deadline):
        async with asyncio.timeout(left(deadline)):
            await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self, size, deadline):
        async with asyncio.timeout(left(deadline)):
            return await asyncio.get_running_loop().sock_recv(self.socket, size)
