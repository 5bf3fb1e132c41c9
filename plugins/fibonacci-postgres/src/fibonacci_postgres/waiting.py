"""Waiting for the network, in sync and in async code; all other code is written once.

The store consists of coroutines. In sync code :class:`BlockingWait` blocks the thread and nothing
they await ever suspends, so they run to completion without an event loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from time import monotonic
from typing import TYPE_CHECKING

from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    TaskWaiter,
    ThreadWaiter,
    Waiter,
    aresolve_host,
    resolve_host,
    seconds_left,
)
from fibonacci_postgres.connection import READ, WRITE, Connection

if TYPE_CHECKING:
    from asyncio import Future


class WaitStrategy(ABC):
    """How to wait for a socket, for a name look-up and for a free connection."""

    waiter: type[Waiter]
    """Waits for a connection of the pool to become free."""

    @abstractmethod
    def wait(self, connection: Connection, deadline: float) -> Awaitable[None] | None:
        """Wait until the connection may be ready for ``process_io``.

        Returns an awaitable that the caller awaits, or None if it has waited already. Raises
        DeadlineExceeded at the deadline.
        """

    async def wait_for_response(self, connection: Connection, deadline: float) -> None:
        """Wait until a response is complete; DeadlineExceeded at the deadline."""
        while True:
            pending = self.wait(connection, deadline)
            if pending is not None:
                await pending
            if connection.process_io():
                return

    @abstractmethod
    async def resolve_host(self, host: str, deadline: float) -> list[str]:
        """Return a host's addresses; see :func:`fibonacci.plugin.runtime.resolve_host`."""


class BlockingWait(WaitStrategy):
    """Blocks the calling thread."""

    waiter = ThreadWaiter

    def wait(self, connection: Connection, deadline: float) -> None:
        left = deadline - monotonic()  # seconds_left, inlined: every call takes this path
        if left <= 0:
            raise DeadlineExceeded
        if left > connection.max_poll_interval:
            left = connection.max_poll_interval
        connection.poller.poll(int(left * 1000) + 1)

    async def resolve_host(self, host: str, deadline: float) -> list[str]:
        return resolve_host(host, deadline=deadline)


class AsyncWait(WaitStrategy):
    """Suspends the calling task; the event loop runs other tasks meanwhile."""

    waiter = TaskWaiter

    async def wait(self, connection: Connection, deadline: float) -> None:
        from asyncio import get_running_loop  # 62 ms, which only async programs pay

        loop = get_running_loop()
        ready = loop.create_future()
        timeout = min(seconds_left(deadline), connection.max_poll_interval)
        timer = loop.call_later(timeout, _set_ready, ready)
        fd, events = connection.fd, connection.events
        if events & READ:
            loop.add_reader(fd, _set_ready, ready)
        if events & WRITE:
            loop.add_writer(fd, _set_ready, ready)
        try:
            await ready
        finally:
            timer.cancel()
            if events & READ:
                loop.remove_reader(fd)
            if events & WRITE:
                loop.remove_writer(fd)

    async def resolve_host(self, host: str, deadline: float) -> list[str]:
        return await aresolve_host(host, deadline=deadline)


def _set_ready(ready: "Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
