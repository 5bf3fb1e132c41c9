"""The layout in etcd: distinct keys that sort by code point, and expiries in lease ids."""

import secrets
from typing import Final

from fibonacci.plugin import Space, encode_parts
from fibonacci.plugin.runtime import now_ms

_RANDOM: Final = 20
"""Low bits of a lease's id that tell apart the leases of one millisecond."""


def space_start(space: Space) -> bytes:
    """Return the start of all keys of this space, and of no other key.

    It starts with the prefix as it is, by which etcd's roles can be granted. A prefix holds no NUL,
    and the rest encodes its own length, so no space's start is another's.
    """
    return space.prefix.encode() + b"\0" + encode_parts(space.scope, space.owner)


def encode_key(space: Space, key: str) -> bytes:
    """Return the key in etcd. UTF-8 sorts by code point, and so do the keys of a space."""
    return space_start(space) + key.encode()


def decode_key(space: Space, found: bytes) -> str | None:
    """Return the key of a physical key of this space; None if it is not UTF-8."""
    try:
        return found[len(space_start(space)) :].decode()
    except UnicodeDecodeError:
        return None


def range_end(start: bytes) -> bytes:
    """Return the first key after all with this start; the last byte of UTF-8 is never 0xFF."""
    return start[:-1] + bytes([start[-1] + 1])


def lease_for(expires: int) -> int:
    """Return an id for the lease of a record: the expiry, and random bits.

    Clients may choose it, and listings without values include it.
    """
    return expires << _RANDOM | secrets.randbits(_RANDOM)


def expiry_of(lease: int) -> int | None:
    """Return the expiry that is in the id of a lease; None if there is no lease."""
    return lease >> _RANDOM or None


def seconds_until(expires: int) -> int:
    """Return a lease's seconds: rounded up, plus one, so that etcd deletes no unexpired record."""
    return max(0, -(-(expires - now_ms()) // 1000)) + 1
