"""The layout of the file.

LMDB's keys have at most 511 bytes, and an address may have 2,200. A key is the digest of the space
and as much of the name as fits; a longer name has the digest of the whole after its head. The
value begins with the expiry and the whole address, so nothing depends on digests only.
"""

from hashlib import blake2b
from struct import Struct
from typing import Any, Final, NamedTuple

from fibonacci.errors import CorruptRecordError
from fibonacci.plugin import Address, Space, encode_parts
from fibonacci.plugin.runtime import expires_at_ms, now_ms

DIGEST: Final = 32
HEAD: Final = 511 - 2 * DIGEST
"""Bytes of a longer name that its key holds. A short name's key is never as long."""

_HEADER: Final = Struct(">QH")
"""When it expires, in milliseconds since the epoch, 0 for never; the length of the address."""


class Record(NamedTuple):
    """A decoded value."""

    expires: int
    name: bytes
    data: bytes

    @property
    def is_unexpired(self) -> bool:
        """Whether it has not expired."""
        return not self.expires or now_ms() < self.expires


def group_key(space: Space, key: str) -> bytes:
    """Return the start of the physical keys of all names with the same head."""
    return _digest(encode_parts(*space)) + key.encode()[:HEAD]


def encode_key(address: Address) -> bytes:
    """Return the key in the file."""
    name = address.key.encode()
    start = group_key(*address)
    return start if len(name) <= HEAD else start + _digest(name)


def encode_record(address: Address, data: bytes, expires: int) -> bytes:
    """Return the value in the file."""
    name = encode_parts(*address.space, address.key)
    return _HEADER.pack(expires, len(name)) + name + data


def decode_record(value: bytes) -> Record | None:
    """Decode a value; None if it is no record."""
    if len(value) < _HEADER.size:
        return None
    expires, length = _HEADER.unpack_from(value)
    name = value[_HEADER.size : _HEADER.size + length]
    return Record(expires, name, value[_HEADER.size + length :])


def decode_record_of(address: Address, value: Any) -> Record | None:
    """Return the record if unexpired. Raises CorruptRecordError if it is not this address's."""
    if value is None:
        return None
    record = decode_record(value)
    if record is None or record.name != encode_parts(*address.space, address.key):
        raise CorruptRecordError(f"the file's value for {address} is not a record of this address")
    return record if record.is_unexpired else None


def decode_key(space: Space, value: bytes) -> str | None:
    """Return the key of an unexpired record of this space; None for anything else."""
    record, owner = decode_record(value), encode_parts(*space)
    if record is None or not record.is_unexpired or not record.name.startswith(owner):
        return None
    try:
        return record.name[len(owner) + 4 :].decode()  # after the four bytes of its length
    except UnicodeDecodeError:
        return None


def expiry(ttl_ms: int | None) -> int:
    """Return when a record with this ttl expires, if it is written now."""
    return 0 if ttl_ms is None else expires_at_ms(ttl_ms)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST).digest()
