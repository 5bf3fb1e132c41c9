"""Proxies and certificates that the environment names: checked before anything is sent.

The SDK's client is made at the first request, as it takes seconds to import; what it could not be
made with is told here.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import IPv6Address
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci_anthropic.secret import Secret

PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
EXCEPTIONS: Final = "no_proxy"
CERTIFICATES: Final = "SSL_CERT_FILE"


def check_surroundings() -> None:
    """Raise ConfigurationError where no client can be made in this environment."""
    for name, url in _proxies():
        _check_proxy(name, url)
    names = [name for name in sorted(os.environ) if name.lower() == EXCEPTIONS]
    if names:
        _check_exceptions(names[-1])
    if file := os.environ.get(CERTIFICATES):
        _check_certificates(file)


def _proxies() -> Iterator[tuple[str, Secret]]:
    """Yield the variables that name a proxy, and what they hold."""
    # In this order the last of two spellings is the one that counts, in small letters.
    names = {name.lower(): name for name in sorted(os.environ) if name.lower() in PROXIES}
    if not names:
        return
    from urllib.request import getproxies_environment  # 45 ms that only a proxy costs

    found = getproxies_environment()
    if "*" in [host.strip() for host in found.get("no", "").split(",")]:
        return
    for kind, name in names.items():
        if url := found.get(kind.removesuffix("_proxy")):
            yield name, Secret(url if "://" in url else f"http://{url}")


def _check_proxy(name: str, url: Secret) -> None:
    scheme = _scheme(url)
    if scheme is None:
        raise ConfigurationError(
            f"anthropic: {name} names no proxy that can be used: write http://host:port, or unset "
            f"{name}"
        )
    if scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"anthropic: {name} names a SOCKS proxy, and that needs another package: "
            f"pip install 'httpx2[socks]'. Or unset {name}"
        )


def _scheme(url: Secret) -> str | None:
    """Return the kind of proxy, None where the client knows none such."""
    from httpx2 import InvalidURL, Proxy

    try:
        return Proxy(url.value or "").url.scheme
    except (InvalidURL, ValueError):  # their texts quote the URL
        return None


def _check_exceptions(name: str) -> None:
    """Read the hosts as the SDK does: it makes no client of one that it can't read."""
    from httpx2 import URL, InvalidURL

    hosts = [host.strip() for host in os.environ[name].split(",")]
    try:
        for host in hosts if "*" not in hosts else ():
            URL(host if "://" in host else f"all://{_bracketed(host)}")
    except (InvalidURL, ValueError):
        raise ConfigurationError(
            f"anthropic: {name} holds something that the client can't read as a host: write names "
            f"and addresses without a port, brackets or an IPv6 network, as in "
            f"localhost,::1,.example.com, or unset {name}"
        ) from None


def _bracketed(host: str) -> str:
    try:
        IPv6Address(host.partition("/")[0])
    except ValueError:
        return f"*{host}"
    return f"[{host}]"


@lru_cache(8)
def _check_certificates(file: str) -> None:
    """Read the file, once if it is good: a machine's whole list takes 30 ms."""
    from ssl import PROTOCOL_TLS_CLIENT, SSLContext

    try:
        SSLContext(PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        raise ConfigurationError(
            f"anthropic: {CERTIFICATES} names {file!r}, and no certificates can be read from it: "
            f"{reason}. Mend it, or unset {CERTIFICATES}"
        ) from None
