"""How records lie in etcd: keys that never meet and sort by code point, expiries in lease ids."""

import secrets
from typing import Final

from fibonacci.plugin import Space, encode_parts
from fibonacci.plugin.runtime import now_ms

_RANDOM: Final = 20
"""Low bits of a lease's id that tell apart the leases of one millisecond."""


def beginning(space: Space) -> bytes:
    """Return what the keys of this space start with, and no other key does.

    The prefix stands literally in front, so that etcd's roles can be granted by it. It holds no
    NUL, and the rest tells its own length, so no space's beginning is that of another.
    """
    return space.prefix.encode() + b"\0" + encode_parts(space.scope, space.owner)


def physical(space: Space, key: str) -> bytes:
    """Return the key in etcd. UTF-8 sorts by code point, and so do the keys of a space."""
    return beginning(space) + key.encode()


def logical(space: Space, found: bytes) -> str | None:
    """Return the key that was found in this space; None if it is none of ours."""
    try:
        return found[len(beginning(space)) :].decode()
    except UnicodeDecodeError:
        return None


def behind(start: bytes) -> bytes:
    """Return the first key behind all that start so; the last byte is never 0xFF in UTF-8."""
    return start[:-1] + bytes([start[-1] + 1])


def lease_for(expires: int) -> int:
    """Return an id for the lease of a record: the expiry, and random bits.

    Clients may choose it. Listings that leave out the values still show it.
    """
    return expires << _RANDOM | secrets.randbits(_RANDOM)


def expiry_of(lease: int) -> int | None:
    """Return the expiry that is in the id of a lease; None where there is no lease."""
    return lease >> _RANDOM or None


def seconds_until(expires: int) -> int:
    """Return a lease's seconds: rounded up, and one more, so that etcd sweeps nothing live."""
    return max(0, -(-(expires - now_ms()) // 1000)) + 1
