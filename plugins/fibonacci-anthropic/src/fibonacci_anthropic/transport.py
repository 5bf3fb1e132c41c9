"""What is below the SDK: reads and writes that honor a deadline, and host name resolution.

A timeout of httpx bounds each read of a socket, so a server that sends a byte now and then could
be read from forever. Here each read and write of a connection takes the time left until the
deadline of the request that uses the connection at that moment.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    aresolve_host,
    raise_for_signal,
    seconds_left,
    share_deadline,
)

if TYPE_CHECKING:
    from httpx2 import AsyncClient

CHUNK_SIZE: Final = 65_536
"""Bytes per write: the deadline is checked between two of them."""

ADDRESS_TIMEOUT: Final = 0.5
"""Seconds for a connection attempt to one address while the host has others."""

_CONNECT_STARTED: Final = ".connect_tcp.started"
_CONNECT_COMPLETE: Final = (".connect_tcp.complete", ".start_tls.complete")
"""Suffixes of httpcore's trace events about a new connection."""

_BACKEND: Final = "_network_backend"


class Call:
    """One request to the service. One thread or task works on it at a time."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.opened_connection = False
        """Whether a new connection was opened for it, instead of a pooled one."""

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a function of the blocking SDK with this as the current call.

        In a context of its own: a signal handler's exception between set and reset would leave
        the call set, and records of the application's clients would be dropped as ours.
        """

        def run_in_context() -> Any:
            _current.set(self)
            return function(*args, **options)

        return copy_context().run(run_in_context)

    async def arun(self, coroutine: Awaitable[Any]) -> Any:
        """Await a coroutine of the async SDK with this as the current call."""
        token = _current.set(self)
        try:
            return await coroutine
        finally:
            _current.reset(token)


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def in_our_request(*_: object) -> bool:
    """Return whether this thread or task is working on a request of this plugin."""
    return _current.get() is not None


def trace_connections(request: Any) -> None:
    """Record the connections opened for a request: an event hook of a blocking HTTP client."""
    request.extensions["trace"] = _on_event


async def atrace_connections(request: Any) -> None:
    """Do the same for an async client, whose reads and writes are cancelled at the deadline."""
    request.extensions["trace"] = _on_event_async


def _on_event(event: str, info: dict[str, Any]) -> None:
    _record_connection(event)
    if event.endswith(_CONNECT_COMPLETE):
        stream = info["return_value"]
        stream.read = partial(_read, stream.read)
        stream.write = partial(_write, stream.write)


async def _on_event_async(event: str, _: dict[str, Any]) -> None:
    _record_connection(event)


def _record_connection(event: str) -> None:
    if event.endswith(_CONNECT_STARTED) and (call := _current.get()):
        call.opened_connection = True


def _read(read: Callable[..., bytes], max_bytes: int, timeout: float | None = None) -> bytes:
    return read(max_bytes, timeout=_capped(timeout))


def _write(write: Callable[..., None], data: bytes, timeout: float | None = None) -> None:
    for start in range(0, len(data), CHUNK_SIZE):
        write(data[start : start + CHUNK_SIZE], timeout=_capped(timeout))


def _capped(timeout: float | None) -> float | None:
    call = _current.get()
    left = None if call is None else seconds_left(call.deadline)
    return min((limit for limit in (left, timeout) if limit is not None), default=None)


def resolve_in_threads(client: "AsyncClient") -> None:
    """Have an async client connect to addresses resolved in threads of ours, proxies included.

    The client would resolve names in the event loop's few threads, which the application may keep
    busy forever. It has no public option for this; a client with other internals stays as it is.
    """
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if hasattr(pool, _BACKEND):
            setattr(pool, _BACKEND, ResolvingBackend(getattr(pool, _BACKEND)))


class ResolvingBackend:
    """A network backend of httpcore that passes addresses, never names, to the wrapped one."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        **options: Any,
    ) -> Any:
        """Connect to the first address that responds within ``timeout`` seconds."""
        deadline = inf if timeout is None else monotonic() + timeout
        addresses = await _resolve(host, deadline)
        last_error: Exception = OSError("the host has no address")
        for index, address in enumerate(addresses):
            untried = len(addresses) - index
            share = share_deadline(deadline, untried)
            if untried > 1:
                share = min(share, monotonic() + ADDRESS_TIMEOUT)
            left = max(0.0, share - monotonic())
            try:
                return await self._backend.connect_tcp(address, port, timeout=left, **options)
            except Exception as error:  # noqa: BLE001 - of three libraries; the last is raised
                raise_for_signal(error)
                last_error = error
        raise last_error


async def _resolve(host: str, deadline: float) -> list[str]:
    from httpx2 import ConnectTimeout

    try:
        return await aresolve_host(host, deadline=deadline)
    except DeadlineExceeded:
        raise ConnectTimeout("the host's name could not be resolved in time") from None
