"""Proxies and certificates from the environment, validated before anything is sent.

The SDK's client is created at the first request, as its import takes seconds. The settings that
would make that fail are reported here.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from ipaddress import IPv6Address
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import trust_store_problem
from fibonacci_anthropic.credentials import Secret

PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy")


def check_environment() -> None:
    """Raise ConfigurationError if the SDK could not create a client in this environment."""
    for name, url in _proxies():
        _check_proxy(name, url)
    _check_no_proxy()
    if problem := trust_store_problem(directory_only=True):
        raise ConfigurationError(f"anthropic: {problem}")


def _proxies() -> Iterator[tuple[str, Secret]]:
    """Yield the name and the value of each variable that configures a proxy."""
    # In this order the last of two spellings, in small letters, takes precedence.
    names = {name.lower(): name for name in sorted(os.environ) if name.lower() in PROXY_VARIABLES}
    if not names:
        return
    from urllib.request import getproxies_environment  # 45 ms, only needed with a proxy

    proxies = getproxies_environment()
    if "*" in [host.strip() for host in proxies.get("no", "").split(",")]:
        return
    for variable, name in names.items():
        if url := proxies.get(variable.removesuffix("_proxy")):
            yield name, Secret(url if "://" in url else f"http://{url}")


def _check_proxy(name: str, url: Secret) -> None:
    scheme = _proxy_scheme(url)
    if scheme is None:
        raise ConfigurationError(
            f"anthropic: {name} is not the URL of a supported proxy: write http://host:port, or "
            f"unset {name}"
        )
    if scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"anthropic: {name} is a SOCKS proxy, which requires another package: "
            f"pip install 'httpx2[socks]'. Or unset {name}"
        )


def _check_no_proxy() -> None:
    """Raise ConfigurationError if NO_PROXY has a host that the SDK can't parse.

    The SDK then fails to create a client, with or without a proxy.
    """
    name = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"
    hosts = [entry.strip() for entry in os.environ.get(name, "").split(",")]
    for host in [] if "*" in hosts else filter(None, hosts):
        if not _can_parse(_no_proxy_pattern(host)):
            raise ConfigurationError(
                f"anthropic: the SDK can't parse {host.rpartition('@')[2]!r} in {name}, and would "
                "fail to create a client: use host names, IPv6 addresses without brackets, no IPv6 "
                "networks, and numeric ports"
            )


def _no_proxy_pattern(host: str) -> str:
    """Return a host as the SDK passes it to its HTTP client."""
    if "://" in host:
        return host
    try:
        IPv6Address(host.partition("/")[0])
    except ValueError:
        return f"all://*{host}"
    return f"all://[{host}]"


def _can_parse(pattern: str) -> bool:
    from httpx2 import URL, InvalidURL

    try:
        URL(pattern)
    except (InvalidURL, ValueError):
        return False
    return True


def _proxy_scheme(url: Secret) -> str | None:
    """Return the scheme of the proxy's URL; None if the HTTP client does not support it."""
    from httpx2 import InvalidURL, Proxy

    try:
        return Proxy(url.value or "").url.scheme
    except (InvalidURL, ValueError):  # their texts quote the URL
        return None
