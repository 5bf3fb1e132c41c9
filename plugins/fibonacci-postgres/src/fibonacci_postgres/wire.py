"""Values as they go over the wire: PostgreSQL's binary formats."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from fibonacci.plugin import Space, canonical
from fibonacci_postgres.statements import BYTEA

NO_KEY_STARTS_SO: Final = b"\xff"
"""Greater than all UTF-8: what starts with a text is less than the text with this behind it."""


@lru_cache(maxsize=1024)
def space_bytes(space: Space) -> bytes:
    """Return a space as the table has it."""
    return canonical(*space)


def milliseconds(ttl_ms: int | None) -> bytes | None:
    """Return a ttl as a float8, or null."""
    return None if ttl_ms is None else struct.pack("!d", ttl_ms)


def int4(number: int) -> bytes:
    """Return a number as an int4."""
    return struct.pack("!i", number)


def array(items: Sequence[bytes]) -> bytes:
    """Return a bytea[]: one dimension, no nulls, counted from 1."""
    parts = [struct.pack("!5i", 1, 0, BYTEA, len(items), 1)]
    for item in items:
        parts += (len(item).to_bytes(4), item)
    return b"".join(parts)


def read_float8(data: bytes) -> float:
    """Return a float8."""
    number: float = struct.unpack("!d", data)[0]
    return number


def read_int8(data: bytes) -> int:
    """Return an int8."""
    return int.from_bytes(data, signed=True)
