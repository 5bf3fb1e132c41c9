"""Hosts: whether a name is valid, and its IP addresses, looked up once for all callers."""

import re
import socket
from functools import partial
from ipaddress import ip_address
from time import monotonic
from typing import Final

from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.forks import on_fork
from fibonacci.plugin._runtime.single_flight import ThreadSingleFlight
from fibonacci.plugin._runtime.timing import DeadlineExceeded
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter, Waiter

# DNS names have no underscore, but names that Docker creates do.
_NAME: Final = re.compile(r"[\w.-]+", re.ASCII)


def host_problem(host: str) -> str | None:
    """Return what is wrong with a host's name or IP address, None if nothing is.

    The result follows a subject: "has an empty part, …". No name server is queried.
    """
    if ":" in host:
        return None if is_address(host) else "is not an IPv6 address"
    try:
        ascii_name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return "is too long, or not valid in its script (IDNA)"
    if not _NAME.fullmatch(ascii_name) or not host.isprintable():
        return "may contain only letters, digits, dots, hyphens and underscores"
    parts = ascii_name.removesuffix(".").split(".")
    if not all(parts):
        return "has an empty part before, between or after its dots"
    if max(map(len, parts)) > 63 or len(ascii_name) > 253:
        return "is too long: 63 characters between two dots, and 253 in all"
    return None


def is_address(host: str) -> bool:
    """Return whether it is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


MAX_JOIN_AGE: Final = 5.0
"""Seconds during which callers join a running look-up.

If callers did not join, each request would leave a thread waiting while the name servers are down.
If they joined for ever, one hanging look-up would hide that the servers are back.
"""


def resolve_host(host: str, *, deadline: float) -> list[str]:
    """Return the IP addresses of a host, in the order in which to try them.

    ``deadline`` is a reading of ``time.monotonic()``, in seconds. The system's resolver takes none,
    so it runs in a thread, which goes on after the deadline. An IP address is returned as it is,
    without a look-up. Call it once for each new connection: results are not cached.

    Raises DeadlineExceeded, and another OSError if the host has no address: its ``strerror`` says
    why.
    """
    return run_sync(_addresses(host, ThreadWaiter, deadline))


async def aresolve_host(host: str, *, deadline: float) -> list[str]:
    """Return the same as :func:`resolve_host`, without blocking the event loop."""
    return await _addresses(host, TaskWaiter, deadline)


async def _addresses(host: str, waiter_type: type[Waiter], deadline: float) -> list[str]:
    if is_address(host):
        return [host]
    if monotonic() >= deadline:
        raise DeadlineExceeded("there was no time to look the host's name up")
    flight = _flight_to(host)
    try:
        return list(await flight.wait(waiter_type, deadline))
    finally:
        if not flight.is_running():  # results are not cached
            _flights.pop(host, None)


_flights: Final[dict[str, ThreadSingleFlight[list[str]]]] = {}
"""The running look-ups."""


def _flight_to(host: str) -> ThreadSingleFlight[list[str]]:
    flight = _flights.get(host)
    if flight is None:
        new = ThreadSingleFlight(partial(_look_up, host), max_join_age=MAX_JOIN_AGE)
        flight = _flights.setdefault(host, new)
    return flight


def _look_up(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:  # a part of it is empty, or too long
        raise socket.gaierror(socket.EAI_NONAME, "this is not a host name") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


# The threads of the look-ups exist only in the parent.
on_fork(after_in_child=_flights.clear)
