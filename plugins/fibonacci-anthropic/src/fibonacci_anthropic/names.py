"""Names of hosts, looked up in threads of our own for a client in an event loop.

The client would look them up in the loop's few threads, which the application may keep busy for
ever. It offers no other way to say so, and one that has another inside is left as it is.
"""

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    aresolve_host,
    raise_for_signal,
    share_deadline,
)

if TYPE_CHECKING:
    from httpx2 import AsyncClient

BACKEND: Final = "_network_backend"

PATIENCE: Final = 0.5
"""Seconds at most for an address, where there is another one."""


def look_up_names(client: "AsyncClient") -> None:
    """Have the client connect to addresses that were looked up here, its proxies included."""
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if hasattr(pool, BACKEND):
            setattr(pool, BACKEND, Addresses(getattr(pool, BACKEND)))


class Addresses:
    """What makes the client's connections: it is asked for addresses, never for a name."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the client's own name
        **options: Any,
    ) -> Any:
        """Connect to the first address that answers, within so many seconds."""
        deadline = inf if timeout is None else monotonic() + timeout
        addresses = await _looked_up(host, deadline)
        fault: Exception = OSError("the host has no address")
        for number, address in enumerate(addresses):
            rest = len(addresses) - number
            share = share_deadline(deadline, rest)
            if rest > 1:  # the others wait for this one
                share = min(share, monotonic() + PATIENCE)
            left = max(0.0, share - monotonic())
            try:
                return await self._inner.connect_tcp(address, port, timeout=left, **options)
            except Exception as why:  # noqa: BLE001 - of three libraries; the last is raised
                raise_for_signal(why)
                fault = why
        raise fault


async def _looked_up(host: str, deadline: float) -> list[str]:
    from httpx2 import ConnectTimeout

    try:
        return await aresolve_host(host, deadline=deadline)
    except DeadlineExceeded:
        raise ConnectTimeout("the host's name could not be looked up in time") from None
