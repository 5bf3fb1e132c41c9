"""Addresses that servers tell of each other, and how they are reached from here.

Behind a NAT, in Docker, or at the end of a tunnel, a server knows itself by another address than
its clients do.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from fibonacci_redis.wire import ReplyError

Where = tuple[str, int]
"""Host and port."""

NatMap = Mapping[Where, Where]
"""Where a server is reached from here, by the address that it is announced with."""

RULE: Final = (
    "must be pairs of addresses, as they are announced and as they are reached: "
    "10.0.0.1:6379=127.0.0.1:17001,10.0.0.2:6379=127.0.0.1:17002; IPv6 in brackets, [::1]:6379"
)

_WRITTEN: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/@,=]+)):([0-9]{1,5})", re.ASCII)
_TARGET: Final = re.compile(r"(?:MOVED|ASK) ([0-9]+) (\S*):([0-9]+)(?:@\S*)?", re.ASCII)


def nat_map(value: Any) -> NatMap:
    """Read the option ``nat_map``. Raises ValueError, with the rule."""
    if not isinstance(value, str):
        raise ValueError(RULE)
    pairs = [tuple(map(_written, pair.split("="))) for pair in value.split(",")]
    found = dict(map(_pair, pairs))
    if len(found) < len(pairs):
        raise ValueError("names an address twice; " + RULE)
    return found


def reached_at(announced: Where, known: NatMap) -> Where:
    """Return where a server is reached that is announced with this address."""
    host, port = announced
    return known.get((_normal(host), port), announced)


def told_host(host: bytes | str | None) -> str:
    """Return the host that a server names; "" where it names none: it is the one that was asked."""
    name = host.decode(errors="replace") if isinstance(host, bytes) else host or ""
    return "" if name == "?" else name.strip("[]")


def told_target(error: ReplyError) -> tuple[int, str, int] | None:
    """Return slot, host and port that MOVED and ASK name, "" for no host; None for none at all."""
    match = _TARGET.match(str(error))
    return (int(match[1]), told_host(match[2]), int(match[3])) if match else None


def shown(host: str, port: int) -> str:
    """Return an address as messages name it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _pair(pair: tuple[Where, ...]) -> tuple[Where, Where]:
    if len(pair) != 2:
        raise ValueError(RULE)
    return pair[0], pair[1]


def _written(text: str) -> Where:
    match = _WRITTEN.fullmatch(text.strip())
    if match is None or not 0 < int(match[3]) <= 65_535:
        raise ValueError(RULE)
    return _normal(match[1] or match[2]), int(match[3])


def _normal(host: str) -> str:
    """One spelling for all that mean one host."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower()
