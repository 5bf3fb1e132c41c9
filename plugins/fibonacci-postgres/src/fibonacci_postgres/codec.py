"""Encoding and decoding of values in PostgreSQL's binary formats."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from fibonacci.plugin import Space, encode_parts
from fibonacci_postgres.driver import PGresult
from fibonacci_postgres.statements import BYTEA, Parameters

MAX_BATCH_BYTES: Final = 4 * 2**20
"""Bytes of values that one statement writes, if it writes more than one value: a protocol message
is limited to 1 GiB, and a hundred values may have 1.6 GiB."""

RowKey = tuple[bytes, bytes]
"""A row's primary key: an address's space and key, encoded."""

KEY_UPPER_BOUND: Final = b"\xff"
"""Greater than all UTF-8: every key that starts with a prefix is less than the prefix and this."""


@lru_cache(maxsize=1024)
def encode_space(space: Space) -> bytes:
    """Encode a space as the table stores it."""
    return encode_parts(*space)


def encode_ttl(ttl_ms: int | None) -> bytes | None:
    """Encode a ttl in milliseconds as a float8; None is null."""
    return None if ttl_ms is None else struct.pack("!d", ttl_ms)


def encode_int4(number: int) -> bytes:
    """Encode an int4."""
    return struct.pack("!i", number)


def encode_bytea_array(items: Sequence[bytes]) -> bytes:
    """Encode a bytea[]: one dimension, no nulls, first index 1; each item follows its length."""
    parts = [struct.pack("!5i", 1, 0, BYTEA, len(items), 1)] * (2 * len(items) + 1)
    parts[1::2] = [len(item).to_bytes(4) for item in items]
    parts[2::2] = items
    return b"".join(parts)


def encode_row_keys(row_keys: Sequence[RowKey]) -> Parameters:
    """Encode row keys as two arrays: of the spaces and of the keys."""
    return [
        encode_bytea_array([space for space, _ in row_keys]),
        encode_bytea_array([key for _, key in row_keys]),
    ]


def decode_float8(data: bytes) -> float:
    """Decode a float8."""
    number: float = struct.unpack("!d", data)[0]
    return number


def decode_int8(data: bytes) -> int:
    """Decode an int8."""
    return int.from_bytes(data, signed=True)


def decode_key(key: bytes) -> str | None:
    """Decode a key; None if it is not UTF-8, and so was written by another program."""
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None


def column_values(result: PGresult, number: int = 0) -> list[Any]:
    """Return the values in one column of a result."""
    get_value = result.get_value
    return [get_value(row, number) for row in range(result.ntuples)]


def split_batches(rows: Mapping[RowKey, bytes]) -> Iterator[list[RowKey]]:
    """Yield the keys of the rows that each statement writes, in order."""
    batch: list[RowKey] = []
    size = 0
    for row_key in sorted(rows):
        size += len(rows[row_key])
        if batch and size > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], len(rows[row_key])
        batch.append(row_key)
    if batch:
        yield batch
