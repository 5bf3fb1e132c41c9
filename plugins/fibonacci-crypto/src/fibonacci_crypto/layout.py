"""The layout of a sealed record, byte by byte.

::

    at   bytes  what
    0    3      F1 46 4D
    3    1      version of this layout: 01
    4    1      suite: 01 with a key, 11 with a passphrase
    5    1      flags: 00
    6    8      key id
    14   1      suite 11 only: 01, Argon2id with 64 MiB, 3 passes, 4 lanes
    15   16     suite 11 only: the salt of Argon2id
    +0   32     session salt
    +32  32     commitment to the session's key
    +64  12     nonce
    +76  n      the value, AES-256-GCM
    +n   16     tag

The *prefix* is what precedes the session salt, and identifies the key. The *header* is what
precedes the nonce, and is the same in all records of a session.
"""

from typing import Final, NamedTuple

from fibonacci.errors import DecryptionError

MAGIC: Final = b"\xf1FM"
VERSION: Final = b"\x01"
WITH_KEY: Final = b"\x01"
WITH_PASSPHRASE: Final = b"\x11"
FLAGS: Final = b"\x00"
ARGON2ID: Final = b"\x01"

KEY_ID_SIZE: Final = 8
KDF_SALT_SIZE: Final = 16
SESSION_SALT_SIZE: Final = 32
NONCE_SIZE: Final = 12

SUITE: Final = slice(4, 5)
KEY_ID: Final = slice(6, 14)

_PREFIX_SIZES: Final = {WITH_KEY: 14, WITH_PASSPHRASE: 31}

HEADER_SIZES: Final = {suite: size + 64 for suite, size in _PREFIX_SIZES.items()}
"""Bytes before the nonce, by suite."""

MIN_HEADER_SIZE: Final = min(HEADER_SIZES.values())


def key_prefix(key_id: bytes) -> bytes:
    """Return the prefix of records sealed with a key."""
    return MAGIC + VERSION + WITH_KEY + FLAGS + key_id


def passphrase_prefix(key_id: bytes, kdf_salt: bytes) -> bytes:
    """Return the prefix of records sealed with a passphrase."""
    return MAGIC + VERSION + WITH_PASSPHRASE + FLAGS + key_id + ARGON2ID + kdf_salt


class Header(NamedTuple):
    """The fields of a header that identify its keys."""

    key_id: bytes
    kdf_salt: bytes | None
    """None if the record was sealed with a key."""
    session_salt: bytes


def parse_header(header: bytes) -> Header:
    """Return the fields of a header. Raises DecryptionError if this release can't read it.

    The commitment is not among them: after deriving the key, callers compare the whole header.
    """
    if not header.startswith(MAGIC):
        raise DecryptionError(
            "the record was not sealed by fibonacci-crypto, or its first bytes were modified: open "
            "it with the encryption that sealed it, or overwrite it"
        )
    if len(header) < MIN_HEADER_SIZE:
        raise DecryptionError(_TRUNCATED)
    suite = header[SUITE]
    if suite not in _PREFIX_SIZES or header[3:6] != VERSION + suite + FLAGS:
        raise DecryptionError(_UNKNOWN)
    if len(header) < HEADER_SIZES[suite]:
        raise DecryptionError(_TRUNCATED)
    kdf_salt = None
    if suite == WITH_PASSPHRASE:
        if header[14:15] != ARGON2ID:
            raise DecryptionError(_UNKNOWN)
        kdf_salt = header[15:31]
    start = _PREFIX_SIZES[suite]
    return Header(header[KEY_ID], kdf_salt, header[start : start + SESSION_SALT_SIZE])


_TRUNCATED: Final = "the record is truncated: its header is incomplete. Restore it, or overwrite it"
_UNKNOWN: Final = (
    "the record has a format that this fibonacci-crypto does not support: a newer release sealed "
    "it, or its header was modified. Upgrade: pip install --upgrade fibonacci-crypto"
)
