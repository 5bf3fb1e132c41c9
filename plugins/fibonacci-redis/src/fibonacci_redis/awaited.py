"""A server, asked over one connection that all callers of an event loop share."""

import asyncio
from functools import partial
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin.runtime import (
    IdlePool,
    raise_for_signal,
    run_in_thread,
    share_deadline,
)
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import CONNECTING, is_late, lost, out_of_time, unreachable
from fibonacci_redis.link import MAX_AGE, Link
from fibonacci_redis.multiplex import Multiplex
from fibonacci_redis.wire import PING, Lost, Request, Unsent

MOST_IDLE: Final = 64
"""Connections that sessions left, kept for later ones."""


class AwaitedNode:
    """The connection to one server; it is made when it is needed, once for all who wait."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.reached = False
        self._retired = False
        self._shared: Multiplex | None = None
        self._connecting: asyncio.Task[Multiplex] | None = None
        self._idle: IdlePool[Multiplex] = IdlePool(max_idle=MOST_IDLE, max_age=MAX_AGE)
        """Connections that sessions left."""

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        shared = self._shared
        if shared is None or not shared.is_ready(writes=request.writes, deadline=deadline):
            shared = await self._connected(deadline)
        now = monotonic()
        if now >= deadline:
            raise out_of_time(self.endpoint)
        try:
            return await shared.exchange(request, deadline, now)
        except (Lost, Unsent) as fault:
            raise lost(fault, str(self.endpoint), request) from fault.__cause__

    async def session(self, deadline: float) -> "AwaitedSession":
        """Return a connection of the caller's own, for several requests in a row."""
        own = self._idle.pop()
        return AwaitedSession(self, own or await self._connect(deadline))

    async def _connected(self, deadline: float) -> Multiplex:
        """Wait for the connection that is being made; if it fails, it was another caller's try."""
        if self._connecting is not None:
            await self._wait(self._connecting, deadline)
        if self._shared is not None and self._shared.is_ready(writes=True, deadline=deadline):
            return self._shared
        if self._retired:
            raise self._gone()
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._renew(deadline))
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
            raise self._gone()
        return connecting

    def _gone(self) -> BackendUnavailableError:
        return BackendUnavailableError(f"{self.endpoint} was not asked: it was closed, or replaced")

    def _settle(self, connecting: "asyncio.Task[Multiplex]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._shared = connecting.result()
            if self._retired:
                self._let_go()

    async def _renew(self, deadline: float) -> Multiplex:
        """Return the connection that there is, if it gives a sign of life, or else a new one."""
        shared = self._shared
        if shared is not None and shared.is_open() and await self._answers(shared, deadline):
            return shared
        self._let_go()
        return await self._connect(deadline)

    async def _answers(self, shared: Multiplex, deadline: float) -> bool:
        try:
            await shared.exchange(PING, share_deadline(deadline, 2), monotonic())
        except (Lost, Unsent):
            return False
        return shared.is_open()  # it is closed where the server is a primary no more

    async def _connect(self, deadline: float) -> Multiplex:
        making = _Making(self.endpoint, deadline)
        try:
            addresses = await self.endpoint.alook_up(deadline)
            # In a thread: redis-py's handshake may take its time.
            made = Multiplex(await run_in_thread(partial(making.make, addresses)))
        except asyncio.CancelledError:
            making.leave()
            raise
        except CONNECTING as fault:
            raise_for_signal(fault)
            told = unreachable(fault, self.endpoint)
        else:
            self.reached = True
            return made
        raise told  # not in the block: the driver's own error would be its context

    def _let_go(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.retire()

    def forget(self) -> None:
        """Use none of the open connections any more; those who wait on them get their replies."""
        self._let_go()
        self._idle.clear()

    def retire(self) -> None:
        """Serve those who wait for an answer, and nobody else."""
        self._retired = True
        self._idle.close()
        self._let_go()

    def close(self) -> None:
        """Close all connections."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._shared is not None:
            self._shared.close()
        self.retire()


class _Making:
    """A connection that a thread makes, and that its caller may leave meanwhile."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self._link: Link | None = None
        self._is_left = False

    def make(self, addresses: list[str]) -> Link:
        """Connect, in a thread."""
        self._link = link = Link(self._endpoint, addresses, self._deadline)
        if self._is_left:
            link.close()
        return link

    def leave(self) -> None:
        """Close it, now or as soon as it is made."""
        self._is_left = True
        if self._link is not None:
            self._link.close()


class AwaitedSession:
    """A connection for several requests in a row."""

    def __init__(self, node: AwaitedNode, connection: Multiplex) -> None:
        self._node = node
        self._connection = connection

    async def exchange(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, error replies among them."""
        try:
            return await self._connection.exchange(request, deadline, monotonic())
        except (Lost, Unsent) as fault:
            if is_late(fault):
                self._node._idle.clear_older_than(0)
            raise lost(fault, str(self._node.endpoint), request) from fault.__cause__

    def end(self, *, clean: bool) -> None:
        """Give the connection back; close it, unless it is as it was before."""
        if clean:
            self._node._idle.push(self._connection)
        else:
            self._connection.close()
