"""A server for async code: one connection that all callers of an event loop share."""

import asyncio
import logging
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
from fibonacci_redis.connection import MAX_IDLE, MAX_IDLE_TIME, Connection
from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.faults import (
    CONNECT_ERRORS,
    deadline_error,
    is_timeout,
    map_connect_error,
    map_exchange_error,
)
from fibonacci_redis.multiplex import MultiplexedConnection
from fibonacci_redis.protocol import PING, NotSentError, ReplyLostError, Request

_log: Final = logging.getLogger("fibonacci.redis")


class AsyncNode:
    """One server; it connects at the first use, once for all callers that wait."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.was_reached = False
        self._is_retired = False
        self._shared: MultiplexedConnection | None = None
        self._connecting: asyncio.Task[MultiplexedConnection] | None = None
        self._pool: IdlePool[MultiplexedConnection] = IdlePool(
            max_idle=MAX_IDLE, max_age=MAX_IDLE_TIME, logger=_log, server=endpoint
        )
        """The connections for sessions."""

    async def execute(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, including error replies."""
        shared = self._shared
        if shared is None or not shared.is_ready(writes=request.writes, deadline=deadline):
            shared = await self._get_shared(deadline)
        now = monotonic()
        if now >= deadline:
            raise deadline_error(self.endpoint)
        try:
            return await shared.execute(request, deadline, now)
        except (ReplyLostError, NotSentError) as error:
            raise map_exchange_error(error, str(self.endpoint), request) from error.__cause__

    async def session(self, deadline: float) -> "AsyncSession":
        """Return a connection reserved for the caller, for several requests in a row."""
        connection = self._pool.pop()
        return AsyncSession(self, connection or await self._connect(deadline))

    async def _get_shared(self, deadline: float) -> MultiplexedConnection:
        """Wait for the shared connection; if another caller's attempt fails, make one more."""
        if self._connecting is not None:
            await self._wait_for(self._connecting, deadline)
        if self._shared is not None and self._shared.is_ready(writes=True, deadline=deadline):
            return self._shared
        if self._is_retired:
            raise self._closed_error()
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._reconnect(deadline))
            self._connecting.add_done_callback(self._set_shared)
        return (await self._wait_for(self._connecting, deadline)).result()

    async def _wait_for(
        self, connecting: "asyncio.Task[MultiplexedConnection]", deadline: float
    ) -> "asyncio.Task[MultiplexedConnection]":
        """Wait until the task is done; a caller that is cancelled or timed out leaves it alone."""
        await asyncio.wait([connecting], timeout=max(0.0, deadline - monotonic()))
        if not connecting.done():
            raise deadline_error(self.endpoint)
        if connecting.cancelled():
            raise self._closed_error()
        return connecting

    def _closed_error(self) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"the request was not sent to {self.endpoint}: the connection was closed or replaced"
        )

    def _set_shared(self, connecting: "asyncio.Task[MultiplexedConnection]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._shared = connecting.result()
            if self._is_retired:
                self._retire_shared()

    async def _reconnect(self, deadline: float) -> MultiplexedConnection:
        """Return the current connection if its server responds, and otherwise a new one."""
        shared = self._shared
        if (
            shared is not None
            and shared.is_open()
            and await self._responds_to_ping(shared, deadline)
        ):
            return shared
        if shared is not None:
            reasons = "it was closed, was idle for too long, or did not respond"
            _log.debug("replacing the connection to %s: %s", self.endpoint, reasons)
        self._retire_shared()
        return await self._connect(deadline)

    async def _responds_to_ping(self, shared: MultiplexedConnection, deadline: float) -> bool:
        try:
            await shared.execute(PING, share_deadline(deadline, 2), monotonic())
        except (ReplyLostError, NotSentError):
            return False
        return shared.is_open()  # it is closed if the server is no longer a primary

    async def _connect(self, deadline: float) -> MultiplexedConnection:
        attempt = _ConnectionAttempt(self.endpoint, deadline)
        try:
            addresses = await self.endpoint.aresolve(deadline)
            # In a thread: redis-py's handshake blocks.
            connection = MultiplexedConnection(
                await run_in_thread(partial(attempt.connect, addresses))
            )
        except asyncio.CancelledError:
            attempt.abandon()
            raise
        except CONNECT_ERRORS as error:
            raise_for_signal(error)
            mapped = map_connect_error(error, self.endpoint)
        else:
            self.was_reached = True
            _log.debug("connected to %s", self.endpoint)
            return connection
        raise mapped  # not in the block: redis-py's error would be its context

    def _retire_shared(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.retire()

    def drop_connections(self) -> None:
        """Stop using the open connections; pending requests still get their replies."""
        self._retire_shared()
        self._pool.clear()

    def retire(self) -> None:
        """Serve the requests that are pending, and no new ones."""
        self._is_retired = True
        self._pool.close()
        self._retire_shared()

    def close(self) -> None:
        """Close all connections."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._shared is not None:
            self._shared.close()
        self.retire()


class _ConnectionAttempt:
    """Connects in a thread; its caller may abandon it meanwhile."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self._endpoint = endpoint
        self._deadline = deadline
        self._connection: Connection | None = None
        self._is_abandoned = False

    def connect(self, addresses: list[str]) -> Connection:
        """Connect; runs in the thread."""
        self._connection = connection = Connection(self._endpoint, addresses, self._deadline)
        if self._is_abandoned:
            connection.close()
        return connection

    def abandon(self) -> None:
        """Close the connection, now or as soon as it is established."""
        self._is_abandoned = True
        if self._connection is not None:
            self._connection.close()


class AsyncSession:
    """A connection reserved for several requests in a row."""

    def __init__(self, node: AsyncNode, connection: MultiplexedConnection) -> None:
        self._node = node
        self._connection = connection

    async def execute(self, request: Request, deadline: float) -> list[Any]:
        """Send the request and return its replies, including error replies."""
        try:
            return await self._connection.execute(request, deadline, monotonic())
        except (ReplyLostError, NotSentError) as error:
            if is_timeout(error):
                self._node._pool.clear_older_than(0)
            raise map_exchange_error(error, str(self._node.endpoint), request) from error.__cause__

    def release(self, *, reusable: bool) -> None:
        """Return the connection to the pool; close it unless its state is as before."""
        if reusable:
            self._node._pool.push(self._connection)
        else:
            self._connection.close()
