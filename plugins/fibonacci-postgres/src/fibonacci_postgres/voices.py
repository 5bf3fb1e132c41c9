"""How each voice waits; everything else is written once.

The store's code is made of coroutines. In the sync voice what they await comes at once, as
:class:`Blocking` waits inside; so they run without an event loop.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from fibonacci_postgres.link import WRITE, Link

if TYPE_CHECKING:
    from asyncio import Future

T = TypeVar("T")


def run(question: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the sync voice, and return what it returns."""
    try:
        question.send(None)
    except StopIteration as answer:
        return answer.value  # type: ignore[no-any-return]
    question.close()
    raise RuntimeError(f"{question!r} waited for an event loop in the sync voice")


class Turn(ABC):
    """A caller's place in the queue for a connection."""

    @abstractmethod
    def wake(self) -> None:
        """Let the caller go on; from any thread."""

    @abstractmethod
    async def wait(self, seconds: float) -> bool:
        """Wait until woken; False if that takes longer."""


class Voice(ABC):
    """How to wait for a socket, a name and a turn."""

    @abstractmethod
    async def wait(self, link: Link, deadline: float) -> None:
        """Wait until there is something to do for the link; TimeoutError at the deadline."""

    @abstractmethod
    async def resolve(self, host: str, port: str, deadline: float) -> list[str]:
        """Return the addresses of a host; OSError, or TimeoutError at the deadline."""

    @abstractmethod
    def turn(self) -> Turn:
        """Return a place in a queue."""


def left_until(deadline: float) -> float:
    """Return the seconds until then; TimeoutError when there are none."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Blocking(Voice):
    """The calling thread waits."""

    def wait(self, link: Link, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        if left > link.patience:
            left = link.patience
        link.poller.poll(int(left * 1000) + 1)

    async def resolve(self, host: str, port: str, deadline: float) -> list[str]:
        # The resolver of the C library takes no deadline: a thread waits for it, and is left
        # behind when it takes too long.
        found: list[list[str] | OSError] = []

        def look_up() -> None:
            try:
                found.append(addresses(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
            except OSError as fault:
                found.append(fault)

        thread = Thread(target=look_up, name="fibonacci-postgres-resolve", daemon=True)
        thread.start()
        thread.join(left_until(deadline))
        if not found:
            raise TimeoutError
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]

    def turn(self) -> Turn:
        return BlockingTurn()


class BlockingTurn(Turn):
    """A lock that its waiter can't have until it is woken."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()

    async def wait(self, seconds: float) -> bool:
        return self._lock.acquire(timeout=seconds)


class Looping(Voice):
    """The running event loop goes on meanwhile."""

    async def wait(self, link: Link, deadline: float) -> None:
        from asyncio import get_running_loop

        left = min(left_until(deadline), link.patience)
        loop = get_running_loop()
        ready = loop.create_future()
        timer = loop.call_later(left, _wake, ready)
        loop.add_reader(link.fd, _wake, ready)
        if link.wants & WRITE:
            loop.add_writer(link.fd, _wake, ready)
        try:
            await ready
        finally:
            timer.cancel()
            loop.remove_reader(link.fd)
            if link.wants & WRITE:
                loop.remove_writer(link.fd)

    async def resolve(self, host: str, port: str, deadline: float) -> list[str]:
        from asyncio import get_running_loop, wait_for

        looking = get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return addresses(await wait_for(looking, left_until(deadline)))

    def turn(self) -> Turn:
        return LoopingTurn()


class LoopingTurn(Turn):
    """A future of the running loop; only its own thread takes and gives connections here."""

    def __init__(self) -> None:
        from asyncio import get_running_loop

        self._woken = get_running_loop().create_future()

    def wake(self) -> None:
        _wake(self._woken)

    async def wait(self, seconds: float) -> bool:
        from asyncio import wait

        await wait([self._woken], timeout=seconds)
        return self._woken.done()


def _wake(waiting: "Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def addresses(found: list[Any]) -> list[str]:
    """Return the addresses in the resolver's answer, in its order, each once."""
    return list(dict.fromkeys(address[0] for *_, address in found))
