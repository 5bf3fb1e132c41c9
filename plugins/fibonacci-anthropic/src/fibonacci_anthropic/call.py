"""One request on its way: when its answer is due, and what its connection is.

A timeout of httpx bounds each read of a socket, and a server that sends a byte now and then is
read from for ever. So each read and write of a connection asks here what is left of the time of
whoever uses it just now.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from fibonacci.plugin.runtime import seconds_left

CHUNK: Final = 65_536
"""Bytes that are written in one go: between two of them the time is looked at."""

CONNECTS: Final = ".connect_tcp.started"
MADE: Final = (".connect_tcp.complete", ".start_tls.complete")
"""How events of httpcore end that tell of a new connection (its extension "trace")."""


class Call:
    """A request of ours. It is worked on by one thread or task at a time."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.connects = False
        """Whether a connection is made for it; else it has one that was used before."""

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """What happens within is done for this call: never to be kept over a ``yield``."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def is_ours(*_: object) -> bool:
    """Say whether a request of ours is being worked on."""
    return _current.get() is not None


def watch(request: Any) -> None:
    """Learn of the connections that are made for this request of httpx: its event hook."""
    request.extensions["trace"] = _connected


async def awatch(request: Any) -> None:
    """Do the same for an async client, whose reads and writes need no help: they are cancelled."""
    request.extensions["trace"] = _aconnected


def _connected(event: str, info: dict[str, Any]) -> None:
    _note(event)
    if event.endswith(MADE):
        stream = info["return_value"]
        stream.read = partial(_read, stream.read)
        stream.write = partial(_write, stream.write)


async def _aconnected(event: str, _: dict[str, Any]) -> None:
    _note(event)


def _note(event: str) -> None:
    if event.endswith(CONNECTS) and (call := _current.get()):
        call.connects = True


def _read(read: Callable[..., bytes], most: int, timeout: float | None = None) -> bytes:
    return read(most, timeout=_capped(timeout))


def _write(write: Callable[..., None], data: bytes, timeout: float | None = None) -> None:
    for start in range(0, len(data), CHUNK):
        write(data[start : start + CHUNK], timeout=_capped(timeout))


def _capped(timeout: float | None) -> float | None:
    call = _current.get()
    rest = None if call is None else seconds_left(call.deadline)
    return min((one for one in (rest, timeout) if one is not None), default=None)
