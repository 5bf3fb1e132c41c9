"""What the transport replaces inside the SDK and its HTTP client, on the installed versions."""

import anthropic
import httpx2
import pytest
from anthropic import _base_client

from fibonacci_anthropic.transport import ResolvingBackend, resolve_in_threads


def test_network_backends_of_an_async_client_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pool of an async client, a proxy's too, gets our network backend.

    ``resolve_in_threads`` leaves a client with other internals as it is, so only this test sees
    that they have changed.
    """
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    client = anthropic.DefaultAsyncHttpxClient()
    transports = [client._transport, *filter(None, client._mounts.values())]
    assert len(transports) == 2
    resolve_in_threads(client)
    for transport in transports:
        assert isinstance(transport, httpx2.AsyncHTTPTransport)
        assert isinstance(vars(transport._pool)["_network_backend"], ResolvingBackend)


def test_async_client_has_the_platform_that_is_set() -> None:
    """The SDK computes the platform with ``get_platform``, and caches it as ``_platform``."""
    client = anthropic.AsyncAnthropic(api_key="key")
    assert vars(client)["_platform"] is None
    assert callable(_base_client.get_platform)
