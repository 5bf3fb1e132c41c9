"""Addresses that servers announce for each other, and where they are reached from here.

Behind a NAT, in Docker, or at the end of a tunnel, a server announces another address than the one
that its clients connect to.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from fibonacci_redis.protocol import ReplyError

HostPort = tuple[str, int]

NatMap = Mapping[HostPort, HostPort]
"""Where a server is reached from here, by the address that it is announced with."""

NAT_MAP_RULE: Final = (
    "must be pairs of addresses, announced=reached: "
    "10.0.0.1:6379=127.0.0.1:17001,10.0.0.2:6379=127.0.0.1:17002; IPv6 in brackets, [::1]:6379"
)

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/@,=]+)):([0-9]{1,5})", re.ASCII)
_REDIRECT: Final = re.compile(r"(?:MOVED|ASK) ([0-9]+) (\S*):([0-9]+)(?:@\S*)?", re.ASCII)


def parse_nat_map(value: Any) -> NatMap:
    """Parse the option ``nat_map``. Raises ValueError, with the rule."""
    if not isinstance(value, str):
        raise ValueError(NAT_MAP_RULE)
    pairs = [tuple(map(_parse_address, pair.split("="))) for pair in value.split(",")]
    nat_map = dict(map(_check_pair, pairs))
    if len(nat_map) < len(pairs):
        raise ValueError("names an address twice; " + NAT_MAP_RULE)
    return nat_map


def translate_address(announced: HostPort, nat_map: NatMap) -> HostPort:
    """Return where a server is reached that is announced with this address."""
    host, port = announced
    return nat_map.get((_normalize_host(host), port), announced)


def parse_host(host: bytes | str | None) -> str:
    """Return the host that a server announces; "" if none: it is the host that was connected to."""
    name = host.decode(errors="replace") if isinstance(host, bytes) else host or ""
    return "" if name == "?" else name.strip("[]")


def parse_redirect(error: ReplyError) -> tuple[int, str, int] | None:
    """Return slot, host ("" if none) and port of MOVED and ASK; None for any other error."""
    match = _REDIRECT.match(str(error))
    return (int(match[1]), parse_host(match[2]), int(match[3])) if match else None


def format_address(host: str, port: int) -> str:
    """Return an address for a message."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_pair(pair: tuple[HostPort, ...]) -> tuple[HostPort, HostPort]:
    if len(pair) != 2:
        raise ValueError(NAT_MAP_RULE)
    return pair[0], pair[1]


def _parse_address(text: str) -> HostPort:
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or not 0 < int(match[3]) <= 65_535:
        raise ValueError(NAT_MAP_RULE)
    return _normalize_host(match[1] or match[2]), int(match[3])


def _normalize_host(host: str) -> str:
    """Return one spelling for all that mean the same host."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower()
