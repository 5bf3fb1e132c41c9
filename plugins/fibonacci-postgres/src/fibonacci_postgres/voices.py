"""How each voice waits; everything else is written once.

The store's code is made of coroutines. In the sync voice whatever they await comes at once, as
:class:`Blocking` waits by itself; so they run to their end without an event loop.
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
from fibonacci_postgres.link import READ, WRITE, Link

if TYPE_CHECKING:
    from asyncio import Future


class Voice(ABC):
    """How to wait for a socket, for a name and for a turn."""

    waiter: type[Waiter]
    """What waits for a connection."""

    @abstractmethod
    def wait(self, link: Link, deadline: float) -> Awaitable[None] | None:
        """Wait until there may be something to do for the link; DeadlineExceeded at the deadline.

        What it returns is to be awaited; None where it has waited already.
        """

    async def finish(self, link: Link, deadline: float) -> None:
        """Wait until an answer is complete; DeadlineExceeded at the deadline."""
        while True:
            waiting = self.wait(link, deadline)
            if waiting is not None:
                await waiting
            if link.advance():
                return

    @abstractmethod
    async def resolve(self, host: str, deadline: float) -> list[str]:
        """Return the addresses of a host; see :func:`fibonacci.plugin.runtime.resolve_host`."""


class Blocking(Voice):
    """The calling thread waits."""

    waiter = ThreadWaiter

    def wait(self, link: Link, deadline: float) -> None:
        left = deadline - monotonic()  # seconds_left, written out: every call takes this path
        if left <= 0:
            raise DeadlineExceeded
        if left > link.patience:
            left = link.patience
        link.poller.poll(int(left * 1000) + 1)

    async def resolve(self, host: str, deadline: float) -> list[str]:
        return resolve_host(host, deadline=deadline)


class Looping(Voice):
    """The running event loop goes on meanwhile."""

    waiter = TaskWaiter

    async def wait(self, link: Link, deadline: float) -> None:
        from asyncio import get_running_loop  # only async programs pay for it: 62 ms

        loop = get_running_loop()
        ready = loop.create_future()
        timer = loop.call_later(min(seconds_left(deadline), link.patience), _wake, ready)
        fd, wants = link.fd, link.wants
        if wants & READ:
            loop.add_reader(fd, _wake, ready)
        if wants & WRITE:
            loop.add_writer(fd, _wake, ready)
        try:
            await ready
        finally:
            timer.cancel()
            if wants & READ:
                loop.remove_reader(fd)
            if wants & WRITE:
                loop.remove_writer(fd)

    async def resolve(self, host: str, deadline: float) -> list[str]:
        return await aresolve_host(host, deadline=deadline)


def _wake(waiting: "Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
