"""A server, asked over one connection that all callers of an event loop share."""

import asyncio
from time import monotonic
from typing import Any

from fibonacci.errors import BackendUnavailableError
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import lost, out_of_time, unreachable
from fibonacci_redis.link import Link
from fibonacci_redis.multiplex import Multiplex
from fibonacci_redis.wire import Lost, Request, Unsent


class AwaitedNode:
    """The connection to one server; it is made when it is needed, once for all who wait."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._shared: Multiplex | None = None
        self._connecting: asyncio.Task[Multiplex] | None = None
        self._idle: list[Multiplex] = []
        """Connections that sessions left."""

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        shared = self._shared
        if shared is None or not shared.is_fresh:
            shared = await self._connected(deadline)
        if monotonic() >= deadline:
            raise out_of_time(self.endpoint)
        try:
            return await shared.exchange(request.data, request.replies, deadline)
        except (Lost, Unsent) as fault:
            raise lost(fault, str(self.endpoint), request) from fault.__cause__

    async def session(self, deadline: float) -> "AwaitedSession":
        """Return a connection of the caller's own, for several requests in a row."""
        while self._idle:
            own = self._idle.pop()
            if own.is_fresh:
                return AwaitedSession(self, own)
            own.close()
        return AwaitedSession(self, await self._connect(deadline))

    async def _connected(self, deadline: float) -> Multiplex:
        """Wait for the connection that is being made; if it fails, it was another caller's try."""
        if self._connecting is not None:
            await self._wait(self._connecting, deadline)
        if self._shared is not None and self._shared.is_fresh:
            return self._shared
        if self._connecting is None:
            self._retire()
            self._connecting = asyncio.create_task(self._connect(deadline))
            self._connecting.add_done_callback(self._settle)
        return (await self._wait(self._connecting, deadline)).result()

    async def _wait(
        self, connecting: "asyncio.Task[Multiplex]", deadline: float
    ) -> "asyncio.Task[Multiplex]":
        """Wait until it is done; a caller that is cancelled, or out of time, leaves it be."""
        await asyncio.wait([connecting], timeout=max(0.0, deadline - monotonic()))
        if not connecting.done():
            raise out_of_time(self.endpoint)
        if connecting.cancelled():
            raise BackendUnavailableError(f"{self.endpoint} was not asked: the store was closed")
        return connecting

    def _settle(self, connecting: "asyncio.Task[Multiplex]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._shared = connecting.result()

    async def _connect(self, deadline: float) -> Multiplex:
        try:
            addresses = await self.endpoint.alook_up(deadline)
            # In a thread: redis-py's handshake may take its time.
            loop = asyncio.get_running_loop()
            link = await loop.run_in_executor(None, Link, self.endpoint, addresses, deadline)
            return Multiplex(link)
        except Exception as fault:  # noqa: BLE001 - whatever redis-py raises
            told = unreachable(fault, self.endpoint)
        raise told  # not in the block: the driver's own error would be its context

    def _retire(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.retire()

    def forget(self) -> None:
        """Use none of the open connections any more; those who wait on them get their replies."""
        self._retire()
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Close all connections."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._shared is not None:
            self._shared.close()
        self.forget()


class AwaitedSession:
    """A connection for several requests in a row."""

    def __init__(self, node: AwaitedNode, connection: Multiplex) -> None:
        self._node = node
        self._connection = connection

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        try:
            return await self._connection.exchange(request.data, request.replies, deadline)
        except (Lost, Unsent) as fault:
            raise lost(fault, str(self._node.endpoint), request) from fault.__cause__

    def end(self, *, clean: bool) -> None:
        """Give the connection back; close it, unless it is as it was before."""
        if clean:
            self._node._idle.append(self._connection)
        else:
            self._connection.close()
