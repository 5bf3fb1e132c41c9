"""How records lie in the file.

LMDB's keys have at most 511 bytes, and an address may have 2,200. A key is the digest of the space
and as much of the name as fits; a longer name has the digest of the whole behind its head. The
value begins with the expiry and the whole address, so nothing rests on digests alone.
"""

from hashlib import blake2b
from struct import Struct
from typing import Any, Final, NamedTuple

from fibonacci.errors import CorruptRecordError
from fibonacci.plugin import Address, Space, encode_parts
from fibonacci.plugin.runtime import expires_at_ms, now_ms

DIGEST: Final = 32
HEAD: Final = 511 - 2 * DIGEST
"""Bytes of a name that stand in the key of a longer one. A short name's key is never as long."""

_BEGINNING: Final = Struct(">QH")
"""When it expires, in milliseconds since the epoch, 0 for never; the length of the address."""


class Record(NamedTuple):
    """What a value holds."""

    expires: int
    name: bytes
    data: bytes

    @property
    def is_live(self) -> bool:
        """Whether it has not expired."""
        return not self.expires or now_ms() < self.expires


def group(space: Space, key: str) -> bytes:
    """Return what the physical keys of all names start with that have this one's head."""
    return _digest(encode_parts(*space)) + key.encode()[:HEAD]


def physical(address: Address) -> bytes:
    """Return the key in the file."""
    name = address.key.encode()
    start = group(*address)
    return start if len(name) <= HEAD else start + _digest(name)


def packed(address: Address, data: bytes, expires: int) -> bytes:
    """Return the value in the file."""
    name = encode_parts(*address.space, address.key)
    return _BEGINNING.pack(expires, len(name)) + name + data


def unpacked(value: bytes) -> Record | None:
    """Take a value apart; None if it is none of ours."""
    if len(value) < _BEGINNING.size:
        return None
    expires, length = _BEGINNING.unpack_from(value)
    name = value[_BEGINNING.size : _BEGINNING.size + length]
    return Record(expires, name, value[_BEGINNING.size + length :])


def record_at(address: Address, value: Any) -> Record | None:
    """Return the live record; CorruptRecordError if the value is none, or another address's."""
    if value is None:
        return None
    record = unpacked(value)
    if record is None or record.name != encode_parts(*address.space, address.key):
        raise CorruptRecordError(f"what the file holds for {address} is no record of it")
    return record if record.is_live else None


def key_in(space: Space, value: bytes) -> str | None:
    """Return the key of a live record of this space; None for anything else."""
    record, owner = unpacked(value), encode_parts(*space)
    if record is None or not record.is_live or not record.name.startswith(owner):
        return None
    try:
        return record.name[len(owner) + 4 :].decode()  # behind the four bytes of its length
    except UnicodeDecodeError:
        return None


def expiry(ttl_ms: int | None) -> int:
    """Return when a record expires that lives so long from now."""
    return 0 if ttl_ms is None else expires_at_ms(ttl_ms)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST).digest()
