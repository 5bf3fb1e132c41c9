"""What the transport replaces inside the SDK and its HTTP client, on the installed versions."""

import anthropic
import httpx2
import pytest

from fibonacci_anthropic.clients import _platform
from fibonacci_anthropic.transport import ResolvingBackend, resolve_in_threads


def test_network_backends_of_an_async_client_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pool of an async client, a proxy's too, gets our network backend.

    ``resolve_in_threads`` leaves a client with other internals as it is, so only this test sees
    that they have changed.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    client = anthropic.DefaultAsyncHttpxClient()
    transports = [client._transport, *filter(None, client._mounts.values())]
    assert len(transports) == 2
    resolve_in_threads(client)
    for transport in transports:
        assert isinstance(transport, httpx2.AsyncHTTPTransport)
        assert isinstance(vars(transport._pool)["_network_backend"], ResolvingBackend)


def test_platform_that_is_set_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK reports the platform in ``_platform``, and computes it with ``get_platform``."""
    client = anthropic.AsyncAnthropic(api_key="key")
    assert vars(client)["_platform"] is None
    monkeypatch.setattr(client, "_platform", "Test")
    assert client.platform_headers()["X-Stainless-OS"] == "Test"
    assert _platform()
