"""Encodes values as strict JSON and decodes them: exactly what was set, or an error.

Nearly every value takes the fast path, in C: orjson encodes it, and marshal checks it. orjson by
itself would accept what is not JSON (it writes a UUID as text, NaN as null), and marshal refuses
exactly that. Everything else takes the slow path, ``strict_json`` in Python, which names the part
that is wrong; without orjson, every value takes it.

The first byte shows the format: 0x20 for text that only ``strict_json`` can read (it has a number
of more than 64 bits in it), any other below 0x80 for JSON, 0x80 and above for a sealed record.
"""

import marshal
from typing import Any, Final

from fibonacci._memory import strict_json
from fibonacci.errors import CorruptRecordError, DecryptionError, ValueTooLargeError
from fibonacci.plugin._orjson import dumps, option, orjson
from fibonacci.plugin._runtime.logs import get_logger
from fibonacci.plugin.address import Address

MAX_SIZE: Final = 16 * 2**20
"""Bytes that an encoded value may have."""

_OPTIONS: Final = option("SUBCLASS", "DATACLASS", "DATETIME")
_STRICT_JSON_ONLY: Final = 0x20

_dumps = dumps
_loads = orjson.loads if orjson else strict_json.loads
_marshal_dumps = marshal.dumps


def encode(value: Any, address: Address) -> bytes:
    """Return the value as JSON.

    Raises SerializationError with the path of what is not JSON (``history[3].score is NaN``, where
    "history" is the record's key), and ValueTooLargeError over 16 MiB.
    """
    data = None
    try:
        data = _dumps(value, None, _OPTIONS)
        marshalled = _marshal_dumps(value, 4)
        # orjson writes null for NaN and Infinity. The last byte that marshal writes for those is
        # 7F or FF, which hardly any other value has in it; the few that do are compared.
        suspect = (b"\x7f" in marshalled or b"\xff" in marshalled) and b"null" in data
        if suspect and _loads(data) != value:
            data = None
    except (TypeError, ValueError, RecursionError):
        data = None
    if data is None:
        data = strict_json.encode(value, address.key)
    if len(data) > MAX_SIZE:
        raise ValueTooLargeError(
            f"the value for {address} has {len(data):,} bytes as JSON; it may have "
            f"{MAX_SIZE:,}. Split it over several keys, or store the large part elsewhere and "
            f"keep a link to it",
            size=len(data),
            limit=MAX_SIZE,
        )
    return data


def decode(data: bytes, address: Address) -> Any:
    """Return the value that was encoded.

    Raises CorruptRecordError if the bytes are not strict JSON, and DecryptionError if they are a
    sealed record.
    """
    try:
        return strict_json.decode(data) if data[0] == _STRICT_JSON_ONLY else _loads(data)
    except (ValueError, IndexError, RecursionError):
        pass  # these errors have the record in them: they must not even become a context
    log_refused_record(address, "it is sealed" if is_sealed(data) else "it is not valid JSON")
    if is_sealed(data):
        raise DecryptionError(
            f"the record {address} is sealed, and this memory has no encryption: "
            f"set encrypt_values=True and the key that it was sealed with"
        )
    raise CorruptRecordError(
        f"the record {address} is not valid JSON: it was corrupted, or written by another program. "
        f"Delete or overwrite it"
    )


def log_refused_record(address: Address, reason: str) -> None:
    """Log that a record could not be read. The error names its key, which no log may (C23)."""
    scope = address.space.scope
    get_logger("memory").info("a record in %s scope was refused: %s", scope, reason)


def is_sealed(data: bytes) -> bool:
    """Return whether a record is sealed, by its first byte: no JSON text starts with such a one."""
    return data[:1] >= b"\x80"
