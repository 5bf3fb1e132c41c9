"""Looking up the addresses of a host by a deadline, once for all callers who want them."""

import socket
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from time import monotonic
from typing import Final

from fibonacci.plugin._run import run
from fibonacci.plugin._runtime.deadlines import DeadlineExceeded
from fibonacci.plugin._runtime.forks import on_fork
from fibonacci.plugin._runtime.threads import NoThreadError, hand_over, outcome
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter, Waiter

JOINED_FOR: Final = 5.0
"""Seconds during which callers join a look-up that runs.

Without that, each request would leave a thread behind while the name servers are away; and if one
look-up hung for ever, nobody would see that they are back.
"""


def resolve(host: str, *, deadline: float) -> list[str]:
    """Return the IP addresses of a host, in the order in which to try them.

    ``deadline`` is a reading of ``time.monotonic()``, in seconds. The system's resolver knows none,
    so a thread waits for it, and is left behind at the deadline. An IP address is returned as it
    is, with no look-up. Look up once for each new connection: no answer is kept.

    Raises DeadlineExceeded, and another OSError where the host has no address: its ``strerror``
    says why.
    """
    return run(_addresses(host, ThreadWaiter, deadline))


async def aresolve(host: str, *, deadline: float) -> list[str]:
    """Return the same as :func:`resolve`, in an event loop, which goes on meanwhile."""
    return await _addresses(host, TaskWaiter, deadline)


async def _addresses(host: str, waiter_type: type[Waiter], deadline: float) -> list[str]:
    if _is_address(host):
        return [host]
    if monotonic() >= deadline:
        raise DeadlineExceeded("there was no time to look the host's name up")
    waiter = waiter_type()
    look_up = _current_look_up(host)
    look_up.join(waiter.wake)
    await waiter.wait(deadline)
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
        self._waiting: list[Callable[[], object]] = []

    def run(self) -> None:
        """Ask the resolver, and wake all who wait."""
        self._found, self._fault = outcome(partial(_look_up, self.host))
        self.done = True
        while self._waiting:
            self._waiting.pop()()

    def join(self, wake: Callable[[], object]) -> None:
        """Have the caller woken; twice, perhaps."""
        self._waiting.append(wake)
        if self.done:  # maybe it had woken all before this one came
            wake()

    def addresses(self) -> list[str]:
        """Return what was found; DeadlineExceeded while nothing is."""
        if not self.done:
            raise DeadlineExceeded("the host's name was not looked up in time")
        if self._fault is not None:
            # Not the exception itself: several threads would raise it at the same time.
            raise type(self._fault)(*self._fault.args)
        return list(self._found or ())


_running: Final[dict[str, _LookUp]] = {}
"""The last look-up of each host."""


def _current_look_up(host: str) -> _LookUp:
    now = monotonic()
    look_up = _running.get(host)
    if look_up is None or look_up.done or now - look_up.began > JOINED_FOR:
        look_up = _LookUp(host)
        _start(look_up)
        _running[host] = look_up
    return look_up


def _start(look_up: _LookUp) -> None:
    try:
        hand_over(look_up.run)
    except NoThreadError:  # Python is about to end
        look_up.run()


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


# The threads that looked up are the parent's.
on_fork(after_in_child=_running.clear)
