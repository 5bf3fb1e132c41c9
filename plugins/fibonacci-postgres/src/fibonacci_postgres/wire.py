"""Values as they go over the wire: PostgreSQL's binary formats."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from fibonacci.plugin import Space, encode_parts
from fibonacci_postgres.driver import PGresult
from fibonacci_postgres.statements import BYTEA, Parameters

BATCH_BYTES: Final = 4 * 2**20
"""Bytes of values that one statement writes, if there is more than one value: a message of the
protocol ends at 1 GiB, and a hundred values may have 1.6."""

Place = tuple[bytes, bytes]
"""An address, as the table has it: the space and the key."""

NO_KEY_STARTS_SO: Final = b"\xff"
"""Greater than all UTF-8: what starts with a text is less than the text with this behind it."""


@lru_cache(maxsize=1024)
def space_bytes(space: Space) -> bytes:
    """Return a space as the table has it."""
    return encode_parts(*space)


def milliseconds(ttl_ms: int | None) -> bytes | None:
    """Return a ttl as a float8, or null."""
    return None if ttl_ms is None else struct.pack("!d", ttl_ms)


def int4(number: int) -> bytes:
    """Return a number as an int4."""
    return struct.pack("!i", number)


def array(items: Sequence[bytes]) -> bytes:
    """Return a bytea[]: one dimension, no nulls, counted from 1; each item behind its length."""
    parts = [struct.pack("!5i", 1, 0, BYTEA, len(items), 1)] * (2 * len(items) + 1)
    parts[1::2] = [len(item).to_bytes(4) for item in items]
    parts[2::2] = items
    return b"".join(parts)


def read_float8(data: bytes) -> float:
    """Return a float8."""
    number: float = struct.unpack("!d", data)[0]
    return number


def read_int8(data: bytes) -> int:
    """Return an int8."""
    return int.from_bytes(data, signed=True)


def text(key: bytes) -> str | None:
    """Return a key as text; None where somebody put other bytes in its place."""
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None


def columns(places: Sequence[Place]) -> Parameters:
    """Return an array of the spaces, and one of the keys."""
    return [array([space for space, _ in places]), array([key for _, key in places])]


def column(result: PGresult, number: int = 0) -> list[Any]:
    """Return what stands in one column of a result."""
    get_value = result.get_value
    return [get_value(row, number) for row in range(result.ntuples)]


def parts(rows: Mapping[Place, bytes]) -> Iterator[list[Place]]:
    """Return the places of rows by the statements that write them, in order."""
    part: list[Place] = []
    size = 0
    for place in sorted(rows):
        size += len(rows[place])
        if part and size > BATCH_BYTES:
            yield part
            part, size = [], len(rows[place])
        part.append(place)
    if part:
        yield part
