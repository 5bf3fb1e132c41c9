"""When an answer is due; and sockets that keep to it.

A timeout of httpx bounds each read of a socket, and a server that sends a byte now and then is
read from for ever. So each read and write of a connection asks here what is left of the time of
whoever uses it just now.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import Any, Final

CHUNK: Final = 65_536
"""Bytes that are written in one go: between two of them the time is looked at."""

_due: ContextVar[float | None] = ContextVar("due")


@contextmanager
def our_call(deadline: float | None) -> Iterator[None]:
    """What happens within is done for a request of ours, which has this deadline.

    It holds for this thread or task alone, and must not be kept over a ``yield``.
    """
    token = _due.set(deadline)
    try:
        yield
    finally:
        _due.reset(token)


def is_ours() -> bool:
    """Say whether a request of ours is being worked on."""
    return _due.get(...) is not ...


def left(deadline: float | None) -> float | None:
    """Return the seconds that are left, None without a deadline; TimeoutError when none are."""
    if deadline is None:
        return None
    if (seconds := deadline - monotonic()) <= 0:
        raise TimeoutError
    return seconds


def keep_to_it(request: Any) -> None:
    """Have the connections that are made for this request of httpx keep to deadlines."""
    request.extensions["trace"] = _made


def _made(event: str, info: dict[str, Any]) -> None:
    if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
        stream = info["return_value"]
        stream.read = partial(_read, stream.read)
        stream.write = partial(_write, stream.write)


def _read(read: Callable[..., bytes], most: int, timeout: float | None = None) -> bytes:
    return read(most, timeout=_capped(timeout))


def _write(write: Callable[..., None], data: bytes, timeout: float | None = None) -> None:
    for start in range(0, len(data), CHUNK):
        write(data[start : start + CHUNK], timeout=_capped(timeout))


def _capped(timeout: float | None) -> float | None:
    rest = left(_due.get(None))
    return timeout if rest is None else rest if timeout is None else min(rest, timeout)
