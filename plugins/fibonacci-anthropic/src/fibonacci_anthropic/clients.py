"""The SDK's clients: one for all threads, one for each event loop, new ones after a fork.

The SDK is imported when the first of them is made: that takes seconds.
"""

import os
import weakref
from collections.abc import AsyncGenerator
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from fibonacci_anthropic.access import Access
from fibonacci_anthropic.call import awatch, watch
from fibonacci_anthropic.quiet import keep_quiet

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from ssl import SSLContext

    from anthropic import Anthropic, AsyncAnthropic


class Clients:
    """The clients for one access. Idle connections are kept, and used again."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._begin()

    def _begin(self) -> None:
        self._lock = RLock()
        self._trusted: SSLContext | None = None
        self._plain: Anthropic | None = None
        self._ending: weakref.finalize[[], Clients] | None = None
        # The generators close the clients, see _until_the_end.
        self._native: dict[
            AbstractEventLoop, tuple[AsyncAnthropic, AsyncGenerator[None, None]]
        ] = {}

    def plain(self) -> "Anthropic":
        """Return the client for all threads."""
        with self._lock:
            if self._plain is None:
                self._plain = _make_plain(self._access, self._trust())
                self._ending = weakref.finalize(self, self._plain.close)
            return self._plain

    async def native(self) -> "AsyncAnthropic":
        """Return the client for the running event loop."""
        import asyncio  # only async programs pay for it: 62 ms

        loop = asyncio.get_running_loop()
        if loop not in self._native:
            # In a thread: the import and the certificates would hold up the loop.
            trusted = await asyncio.to_thread(self._trust)
            if loop not in self._native:  # another task may have been faster
                await self._settle(loop, _make_native(self._access, trusted))
        return self._native[loop][0]

    async def _settle(self, loop: "AbstractEventLoop", client: "AsyncAnthropic") -> None:
        """Keep a client for its loop; nothing here waits, so no other task comes between."""
        ending = _until_the_end(client)
        await anext(ending)
        with self._lock:
            for other in [other for other in self._native if other.is_closed()]:
                del self._native[other]
            self._native[loop] = client, ending

    def _trust(self) -> "SSLContext":
        """Return whom to trust; read once for all clients, as it takes 0.1 seconds."""
        import anthropic  # noqa: F401 - the long import, here where it holds up no event loop
        from httpx2 import create_ssl_context

        with self._lock:
            if self._trusted is None:
                self._trusted = create_ssl_context()
            return self._trusted

    def begin_in_child(self) -> None:
        """Start anew, in a forked child; the parent's connections are the parent's."""
        if self._ending is not None:
            self._ending.detach()
        _of_parent.append((self._plain, self._native))
        self._begin()


async def _until_the_end(client: "AsyncAnthropic") -> AsyncGenerator[None, None]:
    """Close the client when its event loop ends: a loop finishes the generators that it knows."""
    try:
        yield
    finally:
        await client.close()


def _make_plain(access: Access, trusted: "SSLContext") -> "Anthropic":
    import anthropic

    keep_quiet()
    hooks = {"request": [watch]}
    http_client = anthropic.DefaultHttpxClient(event_hooks=hooks, verify=trusted)
    return anthropic.Anthropic(**_arguments(access), http_client=http_client)


def _make_native(access: Access, trusted: "SSLContext") -> "AsyncAnthropic":
    import anthropic

    keep_quiet()
    hooks = {"request": [awatch]}
    http_client = anthropic.DefaultAsyncHttpxClient(event_hooks=hooks, verify=trusted)
    return anthropic.AsyncAnthropic(**_arguments(access), http_client=http_client)


def _arguments(access: Access) -> dict[str, Any]:
    return {  # what is None is left to the SDK; retries are core's
        "api_key": access.api_key,
        "auth_token": access.auth_token,
        "base_url": access.base_url,
        "max_retries": 0,
    }


def shared_clients(access: Access) -> Clients:
    """Return this process's clients for the access."""
    with _lock:
        clients = _clients.get(access)
        if clients is None:
            clients = _clients[access] = Clients(access)
        return clients


def _begin_in_child() -> None:
    global _lock
    _lock = RLock()
    for clients in list(_clients.values()):
        clients.begin_in_child()


_of_parent: Final[list[object]] = []
"""Kept alive in a forked child: what closed them would touch their locks, which may be held."""
_lock = RLock()
_clients: "weakref.WeakValueDictionary[Access, Clients]" = weakref.WeakValueDictionary()
os.register_at_fork(after_in_child=_begin_in_child)
