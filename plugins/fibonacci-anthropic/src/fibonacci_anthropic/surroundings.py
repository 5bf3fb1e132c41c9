"""Proxies and certificates that the environment names: checked before anything is sent.

The SDK's client is made at the first request, as it takes seconds to import; what it could not be
made with is told here.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from ipaddress import IPv6Address
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import trust_store_problem
from fibonacci_anthropic.secret import Secret

PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")


def check_surroundings() -> None:
    """Raise ConfigurationError where no client can be made in this environment."""
    for name, url in _proxies():
        _check_proxy(name, url)
    _check_exceptions()
    if fault := trust_store_problem(directory_only=True):
        raise ConfigurationError(f"anthropic: {fault}")


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


def _check_exceptions() -> None:
    """Refuse a host to be reached without a proxy that the SDK can't read.

    It makes no client then, whether a proxy is named or not.
    """
    name = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"
    hosts = [entry.strip() for entry in os.environ.get(name, "").split(",")]
    for host in [] if "*" in hosts else filter(None, hosts):
        if not _is_read(_pattern(host)):
            raise ConfigurationError(
                f"anthropic: {name} names {host.rpartition('@')[2]!r}, which the SDK can't read, "
                f"and so makes no client: write plain names, IPv6 addresses without brackets, none "
                f"of its networks, and ports in digits"
            )


def _pattern(host: str) -> str:
    """Return a host as the SDK writes it for its client."""
    if "://" in host:
        return host
    try:
        IPv6Address(host.partition("/")[0])
    except ValueError:
        return f"all://*{host}"
    return f"all://[{host}]"


def _is_read(pattern: str) -> bool:
    from httpx2 import URL, InvalidURL

    try:
        URL(pattern)
    except (InvalidURL, ValueError):
        return False
    return True


def _scheme(url: Secret) -> str | None:
    """Return the kind of proxy, None where the client knows none such."""
    from httpx2 import InvalidURL, Proxy

    try:
        return Proxy(url.value or "").url.scheme
    except (InvalidURL, ValueError):  # their texts quote the URL
        return None
