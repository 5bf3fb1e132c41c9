"""What backends need beside the store contract, and need not write again.

Nothing of it has to be used. All of it keeps a deadline, which is a reading of
``time.monotonic()``, in seconds.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final

from fibonacci.plugin._workers import hand_over, outcome

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ["aresolve", "resolve"]

JOINED_FOR: Final = 5.0
"""Seconds during which callers join a look-up that runs.

Without that, each request would leave a thread behind while the name servers are away; and if one
look-up hung for ever, nobody would see that they are back.
"""

Wake = Callable[[], object]


def resolve(host: str, *, deadline: float) -> list[str]:
    """Return the IP addresses of a host, in the order in which to try them.

    ``deadline`` is a reading of ``time.monotonic()``, in seconds. The system's resolver knows none,
    so a thread waits for it, and is left behind at the deadline. An IP address is returned as it
    is, with no look-up. Look up once for each new connection: no answer is kept.

    Raises TimeoutError at the deadline, and another OSError where the host has no address: its
    ``strerror`` says why.
    """
    if _is_address(host):
        return [host]
    woken: SimpleQueue[None] = SimpleQueue()
    look_up = _joined(host, partial(woken.put, None), deadline)
    with suppress(Empty):
        woken.get(timeout=max(0.0, deadline - monotonic()))
    return look_up.addresses()


async def aresolve(host: str, *, deadline: float) -> list[str]:
    """Return the same as :func:`resolve`, in an event loop, which goes on meanwhile."""
    if _is_address(host):
        return [host]
    import asyncio  # only async programs pay for it: 62 ms

    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(_settle, woken)

    look_up = _joined(host, wake, deadline)
    await asyncio.wait([woken], timeout=max(0.0, deadline - monotonic()))
    return look_up.addresses()


class _LookUp:
    """One call of the system's resolver, for any number of callers.

    Without a lock: an exception that a signal handler raises could leave one taken.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.began = monotonic()
        self.done = False
        self._found: list[str] | None = None
        self._fault: BaseException | None = None
        self._waiting: list[Wake] = []

    def run(self) -> None:
        """Ask the resolver, and wake all who wait."""
        self._found, self._fault = outcome(partial(_look_up, self.host))
        self.done = True
        while self._waiting:
            self._waiting.pop()()

    def join(self, wake: Wake) -> None:
        """Have the caller woken; twice, perhaps."""
        self._waiting.append(wake)
        if self.done:  # maybe it had woken all before this one came
            wake()

    def addresses(self) -> list[str]:
        """Return what was found; TimeoutError while nothing is."""
        if not self.done:
            raise TimeoutError("the host's name was not looked up in time")
        if self._fault is not None:
            # Not the exception itself: several threads would raise it at the same time.
            raise type(self._fault)(*self._fault.args)
        return list(self._found or ())


_running: Final[dict[str, _LookUp]] = {}
"""The last look-up of each host."""


def _joined(host: str, wake: Wake, deadline: float) -> _LookUp:
    now = monotonic()
    if now >= deadline:
        raise TimeoutError("there was no time to look the host's name up")
    look_up = _running.get(host)
    if look_up is None or look_up.done or now - look_up.began > JOINED_FOR:
        look_up = _LookUp(host)
        hand_over(look_up.run)
        _running[host] = look_up
    look_up.join(wake)
    return look_up


def _look_up(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:  # a part of it is empty, or too long
        raise socket.gaierror(socket.EAI_NONAME, "that is no host's name") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _settle(woken: "Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none
    # The threads that looked up are the parent's.
    os.register_at_fork(after_in_child=_running.clear)
