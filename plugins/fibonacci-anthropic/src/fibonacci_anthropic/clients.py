"""The SDK's clients: one for all threads, one per event loop, new ones after a fork.

The first client imports the SDK, which takes seconds.
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
from fibonacci_anthropic.credentials import Credentials
from fibonacci_anthropic.transport import (
    atrace_connections,
    in_our_request,
    resolve_in_threads,
    trace_connections,
)

if TYPE_CHECKING:
    from ssl import SSLContext

    from anthropic import Anthropic, AsyncAnthropic

REQUEST_LOGGER: Final = "anthropic._base_client"
"""The SDK's logger, which logs each request with its prompt at DEBUG."""


class Clients:
    """The clients for one set of credentials. Idle connections are pooled and reused."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._async_clients: Final = LoopLocal(_close, close_nowait=_abandon)
        self._reset()

    def _reset(self) -> None:
        self._lock = RLock()
        self._ssl_context: SSLContext | None = None
        self._ssl_context_flight: SingleFlight[SSLContext] = SingleFlight(TaskWaiter)
        self._blocking_client: Anthropic | None = None
        self._finalizer: weakref.finalize[[], Clients] | None = None

    def blocking_client(self) -> "Anthropic":
        """Return the client for all threads."""
        with self._lock:
            if self._blocking_client is None:
                self._blocking_client = _create_blocking(
                    self._credentials, self._load_ssl_context()
                )
                self._finalizer = weakref.finalize(self, self._blocking_client.close)
            return self._blocking_client

    async def async_client(self) -> "AsyncAnthropic":
        """Return the client for the running event loop."""
        client = self._async_clients.get()
        return await self._new_async_client() if client is None else client

    async def _new_async_client(self) -> "AsyncAnthropic":
        # In a thread: the import and reading the certificates would block the loop.
        ssl_context = await self._ssl_context_flight.do(
            lambda: run_in_thread(self._load_ssl_context), deadline=inf
        )
        client = self._async_clients.get()  # another task may have been faster
        if client is None:
            client = _create_async(self._credentials, ssl_context)
            self._async_clients.set(client)
        return client

    def _load_ssl_context(self) -> "SSLContext":
        """Return the TLS context, created once for all clients, as that takes 0.1 seconds."""
        from ssl import VERIFY_X509_STRICT

        import anthropic  # noqa: F401 - the slow import, here where it blocks no event loop
        from httpx2 import create_ssl_context

        with self._lock:
            if self._ssl_context is None:
                self._ssl_context = create_ssl_context()
                # The SDK is strict if SSL_CERT_FILE is set and Python is 3.13 or later, but the
                # certificate authorities of private proxies mostly break a rule.
                self._ssl_context.verify_flags &= ~VERIFY_X509_STRICT
            return self._ssl_context

    def reset_after_fork(self) -> None:
        """Start with new clients in a forked child; the connections stay the parent's."""
        if self._finalizer is not None:
            self._finalizer.detach()
        keep_alive_in_child(self._blocking_client)
        self._async_clients.reset_after_fork()
        self._reset()


async def _close(client: "AsyncAnthropic") -> None:
    await client.close()


def _abandon(client: "AsyncAnthropic") -> None:
    """Leave its sockets to garbage collection: no client can be closed without its loop."""


def _create_blocking(credentials: Credentials, ssl_context: "SSLContext") -> "Anthropic":
    import anthropic

    drop_log_records([REQUEST_LOGGER], in_our_request)
    hooks = {"request": [trace_connections]}
    http_client = anthropic.DefaultHttpxClient(event_hooks=hooks, verify=ssl_context)
    return anthropic.Anthropic(**_arguments(credentials), http_client=http_client)


def _create_async(credentials: Credentials, ssl_context: "SSLContext") -> "AsyncAnthropic":
    import anthropic

    drop_log_records([REQUEST_LOGGER], in_our_request)
    hooks = {"request": [atrace_connections]}
    http_client = anthropic.DefaultAsyncHttpxClient(event_hooks=hooks, verify=ssl_context)
    resolve_in_threads(http_client)
    client = anthropic.AsyncAnthropic(**_arguments(credentials), http_client=http_client)
    client._platform = _platform()
    return client


def _platform() -> Any:
    """Return what the SDK reports to the service about this machine; None leaves it to the SDK.

    The SDK would compute it in one of the loop's own threads, which may be busy forever.
    """
    from anthropic import _base_client as sdk

    get_platform = getattr(sdk, "get_platform", None)
    return get_platform and get_platform()


def _arguments(credentials: Credentials) -> dict[str, Any]:
    return {  # None leaves a choice to the SDK; core does the retries
        "api_key": credentials.api_key,
        "auth_token": credentials.auth_token,
        "base_url": credentials.base_url,
        "max_retries": 0,
    }


def shared_clients(credentials: Credentials) -> Clients:
    """Return this process's clients for the credentials."""
    return _clients.get_or_create(credentials, lambda: Clients(credentials))


_clients: Final = SharedObjects[Clients]()
