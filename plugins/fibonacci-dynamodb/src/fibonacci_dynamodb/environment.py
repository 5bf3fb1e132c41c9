"""Environment variables for boto3: checked before boto3 is imported, which takes half a second.

The proxy of an endpoint is found as botocore finds it.
"""

import os
import socket
from base64 import b64encode
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import ca_file_problem, shell_syntax_problem

KEY_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
CA_FILE_VARIABLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")

HostPort = tuple[str, int]

_UNSUPPORTED_PROXIES: Final = ("https", "socks", "socks4", "socks4a", "socks5", "socks5h")
"""Schemes of proxies that exist, and that this package does not support."""


@attrs.frozen
class Proxy:
    """A proxy that is reached with plain HTTP."""

    address: HostPort
    authorization: str = attrs.field(default="", repr=False)
    """The header line with its user and password, if it has them."""


def check_keys() -> None:
    """Raise ConfigurationError for keys that can't be valid; AWS would only refuse them."""
    for name in KEY_VARIABLES:
        if problem := _key_problem(name):
            raise ConfigurationError(f"{name} {problem}")


def _key_problem(name: str) -> str | None:
    # The key is a local variable here only: an error's traceback could show it.
    key = os.environ.get(name, "")
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        return "contains a space, a line break or another character that no key has"
    return shell_syntax_problem(key)


def endpoint_variable() -> str | None:
    """Return the name of the variable that sets an endpoint; None if none does."""
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return next((name for name in ENDPOINT_VARIABLES if os.environ.get(name)), None)


def ca_file() -> str | None:
    """Return the file of certificate authorities that a variable names; None if none does."""
    return next(filter(None, map(os.environ.get, CA_FILE_VARIABLES)), None)


def check_ca_file(file: str) -> None:
    """Raise ConfigurationError if no certificate can be read from a file of authorities."""
    if problem := ca_file_problem(file):
        names = [name for name in CA_FILE_VARIABLES if os.environ.get(name) == file]
        source = names[0] if names else "ca_bundle in the AWS configuration files"
        raise ConfigurationError(f"{source} names {file!r}, and {problem}. Correct it, or unset it")


def check_proxy(url: str | None, region: str) -> None:
    """Raise ConfigurationError for a proxy that is not supported.

    Without a URL, boto3 chooses the endpoint of the region later: with NO_PROXY set, nothing can
    be said before that.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return
    if url is not None:
        proxy_for(url)
    elif not _has_exceptions():
        proxy_for(f"https://dynamodb.{region}.amazonaws.com")


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy through which this URL is reached, if there is one.

    Raises ConfigurationError if the environment names one that is not supported. The problem is
    passed up as text: no frame of the traceback may hold the variable, which may have a password.
    """
    found = _find_proxy(url)
    if isinstance(found, str):
        raise ConfigurationError(
            f"{_variable_of(urlsplit(url).scheme)} {found}. Use a proxy that is reached with plain "
            f"HTTP, as in http://proxy.example:3128 (it connects to https:// endpoints, too), or "
            f"exclude the endpoint with NO_PROXY"
        )
    return found


def _has_exceptions() -> bool:
    from urllib.request import getproxies  # 30 ms, only if there is a proxy

    return bool(getproxies().get("no"))


def _find_proxy(url: str) -> Proxy | str | None:
    """Return the proxy, or the problem with it."""
    from urllib.request import getproxies

    parts = urlsplit(url)
    if _bypasses_proxy(parts.netloc):
        return None
    address = getproxies().get(parts.scheme, "").strip()
    return _parse_proxy(address) if address else None


def _bypasses_proxy(host: str) -> bool:
    from urllib.request import proxy_bypass

    with suppress(socket.gaierror, TypeError):  # some systems resolve the host for it
        return bool(proxy_bypass(host))
    return False  # pragma: no cover - Linux resolves nothing


def _parse_proxy(address: str) -> Proxy | str:
    try:
        parts = urlsplit(_with_scheme(address))
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a valid proxy URL"
    if parts.scheme in _UNSUPPORTED_PROXIES:
        return f"names a {parts.scheme}:// proxy, which fibonacci-dynamodb does not support"
    if parts.scheme != "http" or not host:
        return "is not a valid proxy URL"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    credentials = b64encode(f"{user}:{password}".encode()).decode() if user else ""
    header = f"Proxy-Authorization: Basic {credentials}\r\n" if credentials else ""
    return Proxy((host, port or 80), header)


def _with_scheme(address: str) -> str:
    """Return the address with a scheme: ``proxy.corp:3128`` is in wide use."""
    if "://" in address:
        return address
    return f"http:{address}" if address.startswith("//") else f"http://{address}"


def _variable_of(scheme: str) -> str:
    """Return the name of the variable that sets the proxy."""
    names = [name for name in os.environ if name.lower() == f"{scheme}_proxy"]
    return min(names, key=str.isupper, default="the system's proxy setting")
