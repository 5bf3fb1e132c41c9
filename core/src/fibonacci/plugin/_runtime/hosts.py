"""Names and addresses of hosts that no look-up can find, told before any is made."""

import re
from ipaddress import ip_address
from typing import Final

# An underscore is in no name of the DNS, but in names that Docker gives.
_NAME: Final = re.compile(r"[\w.-]+", re.ASCII)


def host_problem(host: str) -> str | None:
    """Return what is wrong with a host's name or IP address, None if nothing is.

    The answer goes on behind a subject: "has an empty part, …". Whether there is such a host,
    nobody is asked.
    """
    if ":" in host:
        return None if is_address(host) else "is no IPv6 address"
    try:
        ascii_name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return "is too long, or no name in its script (IDNA)"
    if not _NAME.fullmatch(ascii_name) or not host.isprintable():
        return "may hold letters, digits, dots, hyphens and underscores alone"
    parts = ascii_name.removesuffix(".").split(".")
    if not all(parts):
        return "has an empty part before, between or behind its dots"
    if max(map(len, parts)) > 63 or len(ascii_name) > 253:
        return "is too long: 63 characters between two dots, and 253 in all"
    return None


def is_address(host: str) -> bool:
    """Say whether it is an IP address, which nobody has to look up."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
