"""The sealed record, byte by byte.

::

    at   bytes  what
    0    4      F1 46 4D, and the version of this layout, 01
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

The *head* is what stands before the session salt, and says with which key to open. The *header* is
what stands before the nonce, and is the same in all records of a session.
"""

from typing import Final, NamedTuple

from fibonacci.errors import DecryptionError

MAGIC: Final = b"\xf1FM"
VERSION: Final = 1
WITH_KEY: Final = 0x01
WITH_PASSPHRASE: Final = 0x11
FLAGS: Final = 0
ARGON2ID: Final = 1

KDF_SALT_SIZE: Final = 16
SESSION_SALT_SIZE: Final = 32
NONCE_SIZE: Final = 12

_SIGN: Final = MAGIC + bytes([VERSION])
_HEAD_SIZES: Final = {WITH_KEY: 14, WITH_PASSPHRASE: 31}

HEADER_SIZES: Final = {suite: size + 64 for suite, size in _HEAD_SIZES.items()}
"""Bytes before the nonce, by suite."""

SUITE_AT: Final = 4
"""Where the suite stands."""


def head_with_key(key_id: bytes) -> bytes:
    """Return how records sealed with a key begin."""
    return _SIGN + bytes([WITH_KEY, FLAGS]) + key_id


def head_with_passphrase(key_id: bytes, kdf_salt: bytes) -> bytes:
    """Return how records sealed with a passphrase begin."""
    return _SIGN + bytes([WITH_PASSPHRASE, FLAGS]) + key_id + bytes([ARGON2ID]) + kdf_salt


class Header(NamedTuple):
    """What stands before the nonce."""

    key_id: bytes
    kdf_salt: bytes | None
    """None where no passphrase is in play."""
    session_salt: bytes


def parse(header: bytes) -> Header:
    """Return the parts of a header whose suite is known; DecryptionError where one makes no sense.

    The commitment is not among them: who derives the key compares the header as a whole.
    """
    if not header.startswith(MAGIC):
        raise DecryptionError(NOT_OURS)
    if header[3] != VERSION or header[5] != FLAGS:
        raise DecryptionError(TOO_NEW)
    suite = header[SUITE_AT]
    if len(header) != HEADER_SIZES[suite]:
        raise DecryptionError(CUT)
    size = _HEAD_SIZES[suite]
    kdf_salt = None
    if suite == WITH_PASSPHRASE:
        if header[14] != ARGON2ID:
            raise DecryptionError(TOO_NEW)
        kdf_salt = header[15:size]
    return Header(header[6:14], kdf_salt, header[size : size + SESSION_SALT_SIZE])


NOT_OURS: Final = (
    "the record was not sealed by fibonacci-crypto, or its first bytes were changed: open it with "
    "the encryption that sealed it, or set it anew"
)
CUT: Final = "the record was cut off: less is left of it than the header has; set it anew"
TOO_NEW: Final = (
    "the record has a format that this fibonacci-crypto does not know: a newer one sealed it, or "
    "its header was changed. Upgrade: pip install --upgrade fibonacci-crypto"
)
