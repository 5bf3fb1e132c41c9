"""A server, asked over one connection that all callers of an event loop share."""

import asyncio
from time import monotonic
from typing import Any

from fibonacci.errors import BackendUnavailableError
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import lost, unreachable
from fibonacci_redis.link import Link
from fibonacci_redis.multiplex import Multiplex
from fibonacci_redis.wire import Lost, Request, Unsent


class AwaitedNode:
    """The connection to one server; it is made when it is needed, once for all who wait."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._shared: Multiplex | None = None
        self._connecting: asyncio.Task[Multiplex] | None = None

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        shared = self._shared
        if shared is None or not shared.is_fresh:
            shared = await self._connected(deadline)
        elif monotonic() >= deadline:
            raise self._out_of_time()
        try:
            return await shared.exchange(request.data, request.replies, deadline)
        except (Lost, Unsent) as fault:
            raise lost(fault, str(self.endpoint), writes=request.writes) from fault.__cause__

    async def _connected(self, deadline: float) -> Multiplex:
        if self._connecting is None:
            self.forget()
            self._connecting = asyncio.create_task(self._connect(deadline))
            self._connecting.add_done_callback(self._settle)
        connecting = self._connecting
        # A caller that is cancelled, or out of time, leaves the others their connection.
        await asyncio.wait([connecting], timeout=max(0, deadline - monotonic()))
        if not connecting.done():
            raise self._out_of_time()
        return connecting.result()

    def _settle(self, connecting: "asyncio.Task[Multiplex]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._shared = connecting.result()

    async def _connect(self, deadline: float) -> Multiplex:
        try:
            # In a thread, as redis-py's blocking connection can be taken over, and name servers
            # may take their time.
            loop = asyncio.get_running_loop()
            return Multiplex(await loop.run_in_executor(None, Link, self.endpoint, deadline))
        except Exception as fault:  # noqa: BLE001 - whatever redis-py raises
            raise unreachable(fault, self.endpoint) from None

    def _out_of_time(self) -> BackendUnavailableError:
        return BackendUnavailableError(f"{self.endpoint} was not asked: out of time")

    def forget(self) -> None:
        """Leave the connection that is open, if it is."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.forget()
