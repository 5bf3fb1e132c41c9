"""How each voice waits; everything else is written once.

The store's code is made of coroutines. In the sync voice whatever they await comes at once, as
:class:`Blocking` waits by itself; so they run to their end without an event loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from fibonacci.plugin.runtime import aresolve, resolve
from fibonacci_postgres.link import READ, WRITE, Link

if TYPE_CHECKING:
    from asyncio import Future


def left_until(deadline: float) -> float:
    """Return the seconds until then; TimeoutError when there are none."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Turn(ABC):
    """A caller's place in the queue for a connection."""

    @abstractmethod
    def wake(self) -> None:
        """Let the caller go on."""

    @abstractmethod
    async def wait(self, seconds: float) -> None:
        """Wait until woken, or so long."""


class Voice(ABC):
    """How to wait for a socket, for a name and for a turn."""

    @abstractmethod
    def wait(self, link: Link, deadline: float) -> Awaitable[None] | None:
        """Wait until there may be something to do for the link; TimeoutError at the deadline.

        What it returns is to be awaited; None where it has waited already.
        """

    @abstractmethod
    async def resolve(self, host: str, deadline: float) -> list[str]:
        """Return the addresses of a host; see :func:`fibonacci.plugin.runtime.resolve`."""

    @abstractmethod
    def turn(self) -> Turn:
        """Return a place in a queue."""


class Blocking(Voice):
    """The calling thread waits."""

    def wait(self, link: Link, deadline: float) -> None:
        left = deadline - monotonic()  # left_until, written out: every call takes this path
        if left <= 0:
            raise TimeoutError
        if left > link.patience:
            left = link.patience
        link.poller.poll(int(left * 1000) + 1)

    async def resolve(self, host: str, deadline: float) -> list[str]:
        return resolve(host, deadline=deadline)

    def turn(self) -> Turn:
        return _BlockingTurn()


class _BlockingTurn(Turn):
    """A lock that its waiter can't have until it is woken."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()

    async def wait(self, seconds: float) -> None:
        self._lock.acquire(timeout=seconds)


class Looping(Voice):
    """The running event loop goes on meanwhile."""

    async def wait(self, link: Link, deadline: float) -> None:
        from asyncio import get_running_loop  # only async programs pay for it: 62 ms

        loop = get_running_loop()
        ready = loop.create_future()
        timer = loop.call_later(min(left_until(deadline), link.patience), _wake, ready)
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
        return await aresolve(host, deadline=deadline)

    def turn(self) -> Turn:
        return _LoopingTurn()


class _LoopingTurn(Turn):
    """A future: connections are taken and given in the loop's own thread alone."""

    def __init__(self) -> None:
        from asyncio import get_running_loop

        self._woken = get_running_loop().create_future()

    def wake(self) -> None:
        _wake(self._woken)

    async def wait(self, seconds: float) -> None:
        from asyncio import wait

        await wait([self._woken], timeout=seconds)


def _wake(waiting: "Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
