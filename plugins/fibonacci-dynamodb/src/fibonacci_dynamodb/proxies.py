"""The proxy that the environment puts before an endpoint, read as botocore reads it."""

import os
import socket
from base64 import b64encode
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from fibonacci.errors import ConfigurationError

Place = tuple[str, int]
"""A host and a port."""

_KINDS: Final = ("https", "socks", "socks4", "socks4a", "socks5", "socks5h")
"""Schemes of proxies that there are, and that are not spoken to here."""


@attrs.frozen
class Proxy:
    """A proxy that is spoken to in plain HTTP."""

    place: Place
    login: str = attrs.field(default="", repr=False)
    """The header line for its user, if it has one."""


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy by which this URL is reached, if there is one.

    Raises ConfigurationError where the environment names one that can't be spoken to. What is
    wrong comes as a text: no frame that is left may hold the variable, which may have a password.
    """
    found = _found(url)
    if isinstance(found, str):
        raise ConfigurationError(
            f"{_source(urlsplit(url).scheme)} {found}. Name one that is spoken to in plain HTTP, "
            f"as in http://proxy.example:3128 (it connects to https:// endpoints, too), or except "
            f"the endpoint with NO_PROXY"
        )
    return found


def is_excepting() -> bool:
    """Say whether some hosts are excepted from proxies."""
    return bool(getproxies().get("no"))


def _found(url: str) -> Proxy | str | None:
    """Return the proxy, or what is wrong with it."""
    parts = urlsplit(url)
    if _is_excepted(parts.netloc):
        return None
    given = getproxies().get(parts.scheme, "").strip()
    return _read(given) if given else None


def _is_excepted(host: str) -> bool:
    with suppress(socket.gaierror, TypeError):  # some systems look hosts up for it
        return bool(proxy_bypass(host))
    return False  # pragma: no cover - Linux looks nothing up


def _read(given: str) -> Proxy | str:
    try:
        parts = urlsplit(_with_scheme(given))
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not the address of a proxy"
    if parts.scheme in _KINDS:
        return f"names a proxy of the kind {parts.scheme}://, which fibonacci-dynamodb does not do"
    if parts.scheme != "http" or not host:
        return "is not the address of a proxy"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    login = b64encode(f"{user}:{password}".encode()).decode() if user else ""
    line = f"Proxy-Authorization: Basic {login}\r\n" if login else ""
    return Proxy((host, port or 80), line)


def _with_scheme(given: str) -> str:
    """Return it with the scheme that goes without saying: ``proxy.corp:3128`` is in wide use."""
    if "://" in given:
        return given
    return f"http:{given}" if given.startswith("//") else f"http://{given}"


def _source(scheme: str) -> str:
    """Return the name of the variable that says so."""
    names = [name for name in os.environ if name.lower() == f"{scheme}_proxy"]
    return min(names, key=str.isupper, default="the system's setting of a proxy")
