"""The SDK's clients: one for all threads, one for each event loop, new ones after a fork.

The SDK is imported when the first of them is made: that takes seconds.
"""

import weakref
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from fibonacci.plugin.runtime import (
    LoopLocal,
    SharedObjects,
    SingleFlight,
    TaskWaiter,
    drop_log_records,
    keep_alive_in_child,
    run_in_thread,
)
from fibonacci_anthropic.access import Access
from fibonacci_anthropic.call import awatch, is_ours, watch
from fibonacci_anthropic.names import look_up_names

if TYPE_CHECKING:
    from ssl import SSLContext

    from anthropic import Anthropic, AsyncAnthropic

QUOTES: Final = "anthropic._base_client"
"""The SDK's logger that logs each request whole at DEBUG, with the prompt in it."""


class Clients:
    """The clients for one access. Idle connections are kept, and used again."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._native: Final = LoopLocal(_close, close_nowait=_leave)
        self._begin()

    def _begin(self) -> None:
        self._lock = RLock()
        self._trusted: SSLContext | None = None
        self._trusting: SingleFlight[SSLContext] = SingleFlight(TaskWaiter)
        self._plain: Anthropic | None = None
        self._ending: weakref.finalize[[], Clients] | None = None

    def plain(self) -> "Anthropic":
        """Return the client for all threads."""
        with self._lock:
            if self._plain is None:
                self._plain = _make_plain(self._access, self._trust())
                self._ending = weakref.finalize(self, self._plain.close)
            return self._plain

    async def native(self) -> "AsyncAnthropic":
        """Return the client for the running event loop."""
        client = self._native.get()
        return await self._new_native() if client is None else client

    async def _new_native(self) -> "AsyncAnthropic":
        # In one thread: the import and the certificates would hold up the loop.
        trusted = await self._trusting.do(lambda: run_in_thread(self._trust), deadline=inf)
        client = self._native.get()  # another task may have been faster
        if client is None:
            client = _make_native(self._access, trusted)
            self._native.set(client)
        return client

    def _trust(self) -> "SSLContext":
        """Return whom to trust; read once for all clients, as it takes 0.1 seconds."""
        from ssl import VERIFY_X509_STRICT

        import anthropic  # noqa: F401 - the long import, here where it holds up no event loop
        from httpx2 import create_ssl_context

        with self._lock:
            if self._trusted is None:
                self._trusted = create_ssl_context()
                # The SDK insists on it where SSL_CERT_FILE is set, and Python is 3.13 or later: the
                # authority of a proxy of one's own mostly breaks a rule.
                self._trusted.verify_flags &= ~VERIFY_X509_STRICT
            return self._trusted

    def reset_after_fork(self) -> None:
        """Start anew, in a forked child; the parent's connections are the parent's."""
        if self._ending is not None:
            self._ending.detach()
        keep_alive_in_child(self._plain)
        self._native.reset_after_fork()
        self._begin()


async def _close(client: "AsyncAnthropic") -> None:
    await client.close()


def _leave(client: "AsyncAnthropic") -> None:
    """Let it be collected, which closes its sockets: no client can be closed without its loop."""


def _make_plain(access: Access, trusted: "SSLContext") -> "Anthropic":
    import anthropic

    drop_log_records([QUOTES], is_ours)
    hooks = {"request": [watch]}
    http_client = anthropic.DefaultHttpxClient(event_hooks=hooks, verify=trusted)
    return anthropic.Anthropic(**_arguments(access), http_client=http_client)


def _make_native(access: Access, trusted: "SSLContext") -> "AsyncAnthropic":
    import anthropic

    drop_log_records([QUOTES], is_ours)
    hooks = {"request": [awatch]}
    http_client = anthropic.DefaultAsyncHttpxClient(event_hooks=hooks, verify=trusted)
    look_up_names(http_client)
    client = anthropic.AsyncAnthropic(**_arguments(access), http_client=http_client)
    client._platform = _platform()
    return client


def _platform() -> Any:
    """What the SDK tells the service of this machine; None: it looks itself.

    It would, in one of the loop's own threads, and those may be busy for ever.
    """
    from anthropic import _base_client as sdk

    find = getattr(sdk, "get_platform", None)
    return find and find()


def _arguments(access: Access) -> dict[str, Any]:
    return {  # what is None is left to the SDK; retries are core's
        "api_key": access.api_key,
        "auth_token": access.auth_token,
        "base_url": access.base_url,
        "max_retries": 0,
    }


def shared_clients(access: Access) -> Clients:
    """Return this process's clients for the access."""
    return _clients.get_or_create(access, lambda: Clients(access))


_clients: Final = SharedObjects[Clients]()
