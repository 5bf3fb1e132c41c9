"""Values to bytes and back: strict JSON, exactly what was set or an error.

Nearly every value takes the fast way: orjson writes it and marshal looks it over, in C. orjson
alone would let pass what is no JSON (it writes a UUID as text, NaN as null), and marshal refuses
exactly that. All else takes the exact way, in Python, which names the part that is wrong; where
there is no orjson, every value takes it.

The first byte tells the format: 0x20 for text that only the exact way can read (it holds a number
of more than 64 bits), any other below 0x80 for JSON, from 0x80 on a sealed record.
"""

import marshal
from typing import Any, Final

from fibonacci._memory import exact
from fibonacci.errors import CorruptRecordError, DecryptionError, ValueTooLargeError
from fibonacci.plugin._orjson import dumps, option, orjson
from fibonacci.plugin.address import Address

SIZE_LIMIT: Final = 16 * 2**20
"""Bytes that an encoded value may have."""

_PLAIN: Final = option("SUBCLASS", "DATACLASS", "DATETIME")
_EXACT: Final = 0x20

_dumps = dumps
_loads = orjson.loads if orjson else exact.loads
_look_over = marshal.dumps


def encode(value: Any, address: Address) -> bytes:
    """Return the value as JSON.

    Raises SerializationError with the path of what is no JSON (``history[3].score is NaN``, where
    "history" is the record's key), and ValueTooLargeError over 16 MiB.
    """
    data = None
    try:
        data = _dumps(value, None, _PLAIN)
        seen = _look_over(value, 4)
        # orjson writes null for NaN and Infinity. The last byte that marshal writes of those is
        # 7F or FF, which hardly any other value has in it; the few that do are compared.
        doubtful = (b"\x7f" in seen or b"\xff" in seen) and b"null" in data
        if doubtful and _loads(data) != value:
            data = None
    except (TypeError, ValueError, RecursionError):
        data = None
    if data is None:
        data = exact.encode(value, address.key)
    if len(data) > SIZE_LIMIT:
        raise ValueTooLargeError(
            f"the value for {address} has {len(data):,} bytes as JSON; it may have "
            f"{SIZE_LIMIT:,}. Split it over several keys, or store what is large elsewhere and "
            f"keep a link to it",
            size=len(data),
            limit=SIZE_LIMIT,
        )
    return data


def decode(data: bytes, address: Address) -> Any:
    """Return the value that was encoded.

    Raises CorruptRecordError where the bytes are no JSON of ours, and DecryptionError where they
    are a sealed record.
    """
    try:
        return exact.decode(data) if data[0] == _EXACT else _loads(data)
    except (ValueError, IndexError, RecursionError):
        pass  # their errors hold the record: not even as a context may they be kept
    if is_sealed(data):
        raise DecryptionError(
            f"the record {address} is sealed, and this memory has no encryption: "
            f"set encrypt_values=True and the key that it was sealed with"
        )
    raise CorruptRecordError(
        f"the record {address} is not JSON: it was damaged, or written by something else. "
        f"Delete it, or set it anew"
    )


def is_sealed(data: bytes) -> bool:
    """Tell a sealed record from a plain one, by the first byte: no JSON text starts so."""
    return data[:1] >= b"\x80"
